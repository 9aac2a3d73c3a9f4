"""Records by which an authority sees that a name is ours (DNS-01, RFC 8555 8.4): made, seen everywhere, taken away.

Blocks, and runs in the process that orders certificates. TXT records of one name stand beside each other: a domain and
its wildcard are shown under the same one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from golive.errors import GoliveError
from golive.secret import Mask, Secret
from golive.system.users import User

if TYPE_CHECKING:
    from dns.message import Message
    from dns.resolver import Resolver

HOOK = 120.0
"""Seconds for one call of the hook."""
ANSWER = 10.0
"""Seconds for one answer of a name server."""
TTL = 60
ALIASES = 8
"""CNAMEs followed: a zone may hand over its `_acme-challenge` names to one that takes updates."""

log = logging.getLogger("golive.certificates")


@dataclass(frozen=True)
class Showing:
    """`hook` is run as `user` in `folder` with `variables`; else updates go to `server`, signed with `key`.

    `timeout` in seconds; `resolver` and `server` are `host` or `host:port`. With a `resolver` its port is that of the
    name servers too.
    """

    hook: tuple[str, ...] = ()
    variables: tuple[tuple[str, Secret], ...] = ()
    folder: Path | None = None
    user: User | None = None
    server: str | None = None
    key: str = ""
    secret: Secret = field(default_factory=lambda: Secret(""))
    algorithm: str = "hmac-sha256"
    timeout: float = 120.0
    resolver: str | None = None


@contextlib.contextmanager
def shown(how: Showing, records: Sequence[tuple[str, str]]) -> Iterator[None]:
    """TXT records, name and value, are at every name server of their zones, and taken away after.

    GoliveError says which one cannot be made, or which server does not have it in time.
    """
    made: list[tuple[str, str]] = []
    try:
        for name, value in records:
            at = _alias(how, name) if how.server else name
            made.append((at, value))
            _change(how, "add", at, value)
        for name in dict.fromkeys(name for name, _ in records):
            _wait_until_seen(how, name, {value for each, value in records if each == name})
        yield
    finally:
        for name, value in made:
            try:
                _change(how, "remove", name, value)
            except GoliveError as error:  # it only stays behind
                log.warning("the record %s stays: %s", name, error.what)


def _change(how: Showing, verb: str, name: str, value: str) -> None:
    if how.hook:
        _run(how, verb, name, value)
    else:
        _update(how, verb, name, value)


def _run(how: Showing, verb: str, name: str, value: str) -> None:
    from golive.system import processes

    folder = how.folder or Path("/")
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    env |= {variable: secret.reveal() for variable, secret in how.variables}
    argv = (*how.hook, verb, name, value)
    try:
        done = asyncio.run(
            processes.run(argv, env=env, cwd=folder, user=how.user, timeout=HOOK, name="dns-hook", private=True)
        )
    except TimeoutError:
        raise GoliveError(f"the DNS hook {how.hook[0]} was ended after {HOOK:.0f} s ({verb} {name})") from None
    except GoliveError as error:
        why = error.why or error.what
        raise GoliveError(f"the DNS hook {how.hook[0]} cannot be started: {why}") from error
    if done.code:
        mask = Mask(secret for _, secret in how.variables)
        said = mask(done.output.strip().splitlines()[-1])[:200] if done.output.strip() else "it said nothing"
        raise GoliveError(f"the DNS hook {how.hook[0]} exited with {done.code} ({verb} {name}): {said}")


def _update(how: Showing, verb: str, name: str, value: str) -> None:
    """RFC 2136, signed as of RFC 8945."""
    import dns.exception
    import dns.name
    import dns.rcode
    import dns.tsig
    import dns.tsigkeyring
    import dns.update

    server = str(how.server)
    try:
        keys = dns.tsigkeyring.from_text({how.key: how.secret.reveal()})
    except (dns.exception.DNSException, ValueError):
        raise GoliveError(f"the secret of the key {how.key} is no base64") from None
    zone = _zone(server, name)
    update = dns.update.UpdateMessage(zone, keyring=keys, keyalgorithm=dns.name.from_text(how.algorithm))
    at = dns.name.from_text(name)
    if verb == "add":
        update.add(at, TTL, "TXT", f'"{value}"')
    else:
        update.delete(at, "TXT", f'"{value}"')
    try:
        answer = _asked(server, update)
    except dns.tsig.PeerError as error:
        why = f"the name server {server} does not take the key {how.key}: {error}"
        raise GoliveError(why, hint="its name, its secret and `algorithm` have to be those of the server") from error
    if answer.rcode() != dns.rcode.NOERROR:
        said = dns.rcode.to_text(answer.rcode())
        raise GoliveError(f"the name server {server} refuses to {verb} {name}: {said}")


def _zone(server: str, name: str) -> str:
    """In which the server has a name: the SOA record is in the answer, or says that there is nothing."""
    import dns.message
    import dns.rdatatype

    answer = _asked(server, dns.message.make_query(name, "SOA"))
    for rrset in (*answer.answer, *answer.authority):
        if rrset.rdtype == dns.rdatatype.SOA:
            return rrset.name.to_text()
    raise GoliveError(f"the name server {server} does not have the zone of {name}")


def _asked(server: str, question: Message) -> Message:
    """GoliveError when there is no answer; dns.tsig.PeerError when the server does not take the signature."""
    import dns.exception
    import dns.query
    import dns.tsig

    host, _, port = server.partition(":")
    try:
        address = socket.getaddrinfo(host, int(port or 53), type=socket.SOCK_STREAM)[0][4]
        return dns.query.tcp(question, str(address[0]), ANSWER, int(address[1]))
    except dns.tsig.PeerError:
        raise
    except (dns.exception.DNSException, OSError, EOFError) as error:
        why = str(error) or type(error).__name__
        raise GoliveError(f"the name server {server} takes no update: {why}") from error


def _alias(how: Showing, name: str) -> str:
    """Where a name's records are: itself, unless its zone says that they are elsewhere."""
    import dns.exception

    resolver = _resolver(how)
    for _ in range(ALIASES):
        try:
            name = str(resolver.resolve(name, "CNAME")[0].target)
        except (dns.exception.DNSException, OSError):
            break
    return name


def _resolver(how: Showing) -> Resolver:
    import dns.resolver

    made = dns.resolver.Resolver(configure=how.resolver is None)
    made.lifetime = ANSWER
    if how.resolver:
        host, _, port = how.resolver.partition(":")
        made.nameservers, made.port = [host], int(port or 53)
    return made


def _wait_until_seen(how: Showing, name: str, values: set[str]) -> None:
    """At every name server: the authority asks any of them, and remembers for long that there was nothing."""
    from golive.edge.records import name_servers

    at = _alias(how, name)
    given = how.resolver.partition(":") if how.resolver else None
    resolver = (given[0], int(given[2] or 53)) if given else None
    missing = asyncio.run(name_servers(at, resolver))
    deadline, pause = time.monotonic() + how.timeout, 0.1
    while missing := [(server, address) for server, address in missing if not _has(address, at, values, resolver)]:
        if time.monotonic() > deadline:
            names = ", ".join(server for server, _ in missing)
            raise GoliveError(f"{names} does not have the TXT record {name} after {how.timeout:g} s")
        time.sleep(pause)
        pause = min(pause * 1.5, 5.0)


def _has(address: str, name: str, values: set[str], resolver: tuple[str, int] | None) -> bool:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.query
    import dns.rdatatype

    question = dns.message.make_query(name, "TXT")
    question.flags &= ~dns.flags.RD
    port = resolver[1] if resolver else 53
    try:
        answer, _ = dns.query.udp_with_fallback(question, address, 3.0, port)
    except (dns.exception.DNSException, OSError):
        return False
    texts = (record for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TXT for record in rrset)
    return values <= {b"".join(record.strings).decode(errors="replace") for record in texts}
