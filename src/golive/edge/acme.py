"""Orders at an authority by ACME (RFC 8555), answered over HTTP by the edge itself, or by DNS.

Runs in a process of its own: the client's libraries are larger than the daemon may become by them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golive.edge import dns01
from golive.edge.dns01 import Showing
from golive.edge.model import Challenge
from golive.errors import GoliveError
from golive.secret import Secret
from golive.system.files import private_directory, write_atomic

if TYPE_CHECKING:
    import requests
    from acme.client import ClientV2
    from acme.messages import Error
    from josepy.jwk import JWK

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
TIMEOUT = 20
"""Seconds for one answer of the authority."""
PATIENCE = timedelta(seconds=120)
"""For a whole order: looking at the names, signing."""
SERVED = 15.0
"""Seconds until the edge must answer a challenge."""
NONCES = 5
"""Pairs of nonces tried for one question before it is given up."""
MOST_NAMES = 100
"""In one certificate, as Let's Encrypt allows."""
OF_NAMES = ("caa", "dns", "connection", "unauthorized", "rejectedIdentifier", "unsupportedIdentifier", "malformed")
"""Problems that another authority would have with the names too."""
Publish = Callable[[tuple[Challenge, ...]], None]


@dataclass(frozen=True)
class Authority:
    """`key_id` and `hmac` (base64url) are of an account that was made beforehand."""

    directory: str
    email: str | None = None
    ca_file: str | None = None
    key_id: str | None = None
    hmac: Secret = field(default_factory=lambda: Secret(""))


@dataclass(frozen=True)
class Order:
    """`authorities` are asked in turn while they are away or refuse for a while. `http_port` is the edge's own. With
    `dns` names are shown by records."""

    names: tuple[str, ...]
    authorities: tuple[Authority, ...]
    accounts: Path
    http_port: int
    dns: Showing | None = None


@dataclass(frozen=True)
class Outcome:
    """A certificate with its key; or what was wrong: `problems` with names, `why` with the authorities.

    `retry_after` is in seconds, where an authority asked for time.
    """

    chain: str = ""
    key: Secret = field(default_factory=lambda: Secret(""))
    problems: tuple[tuple[str, str], ...] = ()
    why: str = ""
    retry_after: float | None = None


async def issue(order: Order, report: Publish) -> Outcome:
    """`report` is given the challenges; they have to be at the edge within seconds."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Outcome] = loop.create_future()

    def settle(outcome: Outcome | Exception) -> None:
        if not answer.done():
            answer.set_exception(outcome) if isinstance(outcome, Exception) else answer.set_result(outcome)

    def publish(found: tuple[Challenge, ...]) -> None:
        loop.call_soon_threadsafe(report, found)

    def work() -> None:
        try:
            done: Outcome | Exception = _in_turn(order, publish)
        except Exception as error:  # whatever it is, it belongs to who waits
            done = error
        loop.call_soon_threadsafe(settle, done)

    # A thread that the process does not wait for when it ends: the client sleeps between its questions.
    threading.Thread(target=work, daemon=True).start()
    return await answer


def _in_turn(order: Order, publish: Publish) -> Outcome:
    said: list[str] = []
    wait: list[float] = []
    for authority in order.authorities:
        attempt = _Attempt(order, authority, publish)
        outcome = attempt.outcome()
        if outcome.chain or outcome.problems:
            return outcome
        said.append(outcome.why)
        wait.append(outcome.retry_after or 0)
    return Outcome(why="; ".join(said), retry_after=min(wait, default=0) or None)


class _Attempt:
    """One order at one authority."""

    def __init__(self, order: Order, authority: Authority, publish: Publish) -> None:
        self._order = order
        self._authority = authority
        self._publish = publish
        self._retry_after: float | None = None

    def outcome(self) -> Outcome:
        import requests
        from acme import errors, messages
        from josepy.errors import Error as JoseError

        host = self._authority.directory.split("/")[2]
        trusted = self._authority.ca_file
        if trusted and not Path(trusted).is_file():
            return Outcome(why=f"{host} is not asked: there is no ca_file {trusted}")
        try:
            return self._certificate()
        except errors.ValidationError as error:
            return Outcome(problems=tuple(_failed(error)))
        except (messages.Error, errors.IssuanceError) as error:
            problem = error.error if isinstance(error, errors.IssuanceError) else error
            named = _named(problem, self._order.names)
            why = f"{host}: {problem.detail or problem.typ}"
            return Outcome(problems=tuple(named), why=why, retry_after=self._retry_after)
        except errors.TimeoutError:
            why = f"{host} did not come to an end in {PATIENCE.total_seconds():.0f} s"
        except (requests.RequestException, OSError) as error:
            why = f"{host} cannot be asked: {_plain(error)}"
        except GoliveError as error:
            why = f"{host}: {error.what}"
        except (errors.Error, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"{host} answers what is no ACME: {type(error).__name__}"
        return Outcome(why=why, retry_after=self._retry_after)

    def _certificate(self) -> Outcome:
        from acme import challenges, crypto_util, messages
        from cryptography.hazmat.primitives.asymmetric import ec

        client, account = self._client()
        key = _pem(ec.generate_private_key(ec.SECP256R1()))
        order = client.new_order(crypto_util.make_csr(key, list(self._order.names)))
        wanted = challenges.DNS01 if self._order.dns else challenges.HTTP01
        shown, answers = [], []
        for authorization in order.authorizations:
            if authorization.body.status == messages.STATUS_VALID:
                continue  # shown lately
            name = authorization.body.identifier.value
            chosen = next((c for c in authorization.body.challenges if isinstance(c.chall, wanted)), None)
            if chosen is None:
                raise GoliveError(f"it does not offer to look at {name} {'by DNS' if self._order.dns else 'over HTTP'}")
            response, text = chosen.response_and_validation(account)
            shown.append(Challenge(name, "" if self._order.dns else chosen.chall.path, text))
            answers.append((chosen, response))
        with self._shown(tuple(shown)):
            for chosen, response in answers:
                client.answer_challenge(chosen, response)
            done = client.poll_and_finalize(order, datetime.now() + PATIENCE)
        from golive.edge.inspection import inspect

        kept = inspect(done.fullchain_pem, Secret(key.decode()))
        missing = [name for name in self._order.names if not kept.certificate.covers(name)]
        if missing:
            raise GoliveError(f"it signed a certificate without {', '.join(missing)}")
        return Outcome(kept.certificate.chain, kept.certificate.key)

    @contextlib.contextmanager
    def _shown(self, found: tuple[Challenge, ...]) -> Iterator[None]:
        """What the authority looks for is there, where it will look."""
        if self._order.dns and found:
            with dns01.shown(self._order.dns, [(f"_acme-challenge.{one.domain}", one.answer) for one in found]):
                yield
            return
        if found:
            self._publish(found)
            for challenge in found:
                _wait_until_served(challenge, self._order.http_port)
        yield

    def _client(self) -> tuple[ClientV2, JWK]:
        """With its account, which is made at the first order."""
        from acme import client, errors, messages
        from josepy.jwa import ES256
        from josepy.jwk import JWKEC

        from golive import __version__

        account = JWKEC(key=_account_key(self._order.accounts, self._authority.directory))
        agent = f"golive/{__version__}"
        network = client.ClientNetwork(account, alg=ES256, user_agent=agent, timeout=TIMEOUT)
        if self._authority.ca_file:
            verify: Any = self._authority.ca_file
            network.verify_ssl = verify  # handed to requests as it is, which takes a path too
        network.post = _patient(network.post)  # type: ignore[method-assign]
        network.session.hooks["response"].append(self._note)
        found = client.ClientV2(client.ClientV2.get_directory(self._authority.directory, network), network)
        new = messages.NewRegistration.from_data(
            email=self._authority.email,
            terms_of_service_agreed=True,
            external_account_binding=self._bound(found, account) if found.external_account_required() else None,
        )
        try:
            found.new_account(new)
        except errors.ConflictError as error:
            body = messages.Registration()
            found.query_registration(messages.RegistrationResource(body=body, uri=error.location))
        except messages.Error as error:  # no fault of the names
            if error.code == "rateLimited":
                raise
            raise GoliveError(f"it takes no account: {error.detail or error.typ}") from error
        return found, account

    def _bound(self, found: ClientV2, account: JWK) -> dict[str, Any]:
        """The proof that the account which was made beforehand is ours."""
        from acme import messages
        from josepy.errors import Error as JoseError

        key_id, hmac = self._authority.key_id, self._authority.hmac
        if not key_id:
            raise GoliveError("it wants an account that was made beforehand: [edge.acme.accounts]")
        if not hmac:
            raise GoliveError(f"the variable with the HMAC key of the account {key_id} has no value")
        try:
            made: dict[str, Any] = messages.ExternalAccountBinding.from_data(
                account.public_key(), key_id, hmac.reveal(), found.directory
            )
        except (JoseError, ValueError, TypeError):
            raise GoliveError(f"the HMAC key of the account {key_id} is no base64url") from None
        return made

    def _note(self, response: requests.Response, *_: object, **__: object) -> None:
        """When an authority that refuses wants to be asked again."""
        from acme.client import ClientV2

        if response.status_code >= 400 and "Retry-After" in response.headers:
            at = ClientV2.retry_after(response, 0)
            self._retry_after = max((at - datetime.now()).total_seconds(), 0)


def _patient(post: Callable[..., requests.Response]) -> Callable[..., requests.Response]:
    """A nonce may be refused at any time, and asking again with another is no fault (RFC 8555, 6.5); the client itself
    asks twice."""
    from acme import messages

    def again(*args: Any, **kwargs: Any) -> requests.Response:
        for _ in range(NONCES):
            try:
                return post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return post(*args, **kwargs)

    return again


def _failed(error: Any) -> list[tuple[str, str]]:
    """Names that the authority looked at in vain, with what it saw."""
    found = []
    for authorization in error.failed_authzrs:
        said = [c.error.detail or c.error.typ for c in authorization.body.challenges if c.error]
        name = authorization.body.identifier.value
        found.append((f"*.{name}" if authorization.body.wildcard else name, "; ".join(said)))
    return list(dict(found).items())


def _named(problem: Error, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Problems with names, by name; all of them where the authority does not say which."""
    inner = [(s.identifier.value, s.detail or s.typ) for s in problem.subproblems or () if s.identifier]
    if inner:
        return [(name, why) for name, why in inner if name in names]
    return [(name, problem.detail or problem.typ) for name in names] if problem.code in OF_NAMES else []


def _wait_until_served(challenge: Challenge, port: int) -> None:
    """Asked through the edge's own door, so that the authority's first look finds it."""
    import requests

    deadline = time.monotonic() + SERVED
    with requests.Session() as session:
        session.trust_env = False
        while True:
            try:
                url = f"http://127.0.0.1:{port}{challenge.path}"
                headers = {"Host": challenge.domain}
                answer = session.get(url, headers=headers, allow_redirects=False, timeout=5)
                if answer.status_code == 200 and answer.text == challenge.answer:
                    return
            except requests.RequestException:
                pass
            if time.monotonic() > deadline:
                raise GoliveError(f"the edge does not answer for {challenge.domain} on port {port}")
            time.sleep(0.05)


def _account_key(directory: Path, authority: str) -> Any:
    """Made before the account, so that an interrupted registration finds its account again."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    path = directory / f"{hashlib.sha256(authority.encode()).hexdigest()[:16]}.pem"
    try:
        return serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError):
        key = ec.generate_private_key(ec.SECP256R1())
        private_directory(directory)
        write_atomic(path, _pem(key))
        return key


def _pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PrivateFormat.PKCS8
    made: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return made


def _plain(error: Exception) -> str:
    """requests wraps what happened several times over."""
    text = str(getattr(error, "reason", None) or error.args[0] if error.args else error)
    said = text.rsplit("] ", 1)[-1].rsplit(": ", 1)[-1].partition(" (_ssl.c")[0]
    return said.strip("'\")> ")[:200] or type(error).__name__
