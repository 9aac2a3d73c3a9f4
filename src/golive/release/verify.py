"""What a deploy checks through the real edge once traffic has moved, with the evidence it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from golive.blueprint.models import Blueprint, Service, ServiceKind
from golive.release.prober import Address
from golive.system.http import Headers

if TYPE_CHECKING:
    from golive.release.gateway import Gateway

REQUIRED = ("strict-transport-security", "x-content-type-options", "x-frame-options", "referrer-policy")
DISCLOSING = ("server", "x-powered-by")
PAST_ENVOY: Headers = (("if-none-match", '"deploy"'),)
"""Asks the static server itself: Envoy answers for some files, but leaves such a request to it."""


@dataclass(frozen=True)
class Evidence:
    """One thing looked at: its name, whether it is as it should be, and what was seen."""

    name: str
    ok: bool
    text: str

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "evidence": self.text}


def probe_paths(blueprint: Blueprint) -> tuple[str, ...]:
    """One path per routed service: its health path where the edge routes that to it, else its prefix."""
    return tuple(path for s in blueprint.services.values() if (path := probe_path(blueprint, s)) is not None)


def probe_path(blueprint: Blueprint, service: Service) -> str | None:
    """As the client asks for it."""
    main = blueprint.domains[0]
    if not service.route or (service.domains and main not in service.domains):
        return None
    if service.kind is ServiceKind.STATIC and service.strip_prefix:  # without the slash it is redirected there
        return f"{service.route[0].rstrip('/')}/"
    return health_path(blueprint, service) or service.route[0]


def health_path(blueprint: Blueprint, service: Service) -> str | None:
    """The path at which a client finds the service's own health path; None when its routes do not reach it."""
    if shares_route(blueprint, service):
        return None
    own = [probe.path for probe in (service.health.ready, service.health.live) if probe and probe.path]
    asked = [f"{p.rstrip('/')}{path}" for path in own for p in service.route] if service.strip_prefix else own
    return next((path for path in asked if _routed_to(blueprint, path) is service), None)


def shares_route(blueprint: Blueprint, service: Service) -> bool:
    """Whether another service may answer in its place: it replaces one, or is replaced."""
    replaced = {each.replaces for each in blueprint.services.values()}
    return bool(service.replaces) or any(blueprint.services.get(name or "") is service for name in replaced)


def _routed_to(blueprint: Blueprint, path: str) -> Service | None:
    """The service that answers a path on the main domain: the longest prefix on a path boundary."""
    best: tuple[int, Service] | None = None
    main = blueprint.domains[0]
    for service in blueprint.services.values():
        for prefix in service.route if not service.domains or main in service.domains else ():
            whole = prefix.rstrip("/")
            if (path == whole or path.startswith(whole + "/")) and (best is None or len(whole) > best[0]):
                best = (len(whole), service)
    return best[1] if best else None


async def through_the_edge(gateway: Gateway, blueprint: Blueprint, sent: Headers = ()) -> list[Evidence]:
    """Every routed service answers; HTTP redirects; the security headers are there; nothing tells what runs.

    `sent` goes with each request.
    """
    found: list[Evidence] = []
    address = gateway.address(blueprint.domains[0], https=blueprint.edge.https)
    headers: dict[str, str] = {}
    for name, service in blueprint.services.items():
        path = probe_path(blueprint, service)
        if path is None:
            continue
        static = service.kind is ServiceKind.STATIC
        strict = (static and not shares_route(blueprint, service)) or path == health_path(blueprint, service)
        asked = (*sent, *PAST_ENVOY) if static else sent
        evidence, seen = await _answers(address, name, path, asked, strict=strict)
        found.append(evidence)
        headers = headers or seen
    if headers and blueprint.edge.https:
        found.append(await _redirects(gateway, blueprint.domains[0]))
        found.append(_headers(blueprint, headers))
    return found


async def _answers(
    address: Address, name: str, path: str, sent: Headers, *, strict: bool
) -> tuple[Evidence, dict[str, str]]:
    connection = address.connection()
    try:
        answer = await connection.get(path, sent)
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        return Evidence(f"service {name}", False, f"GET {path}: {type(error).__name__} {error}".strip()), {}
    finally:
        await connection.close()
    good, remark = judged(answer.status, strict=strict)
    text = f"GET {path} → {answer.status} over {address.scheme}{remark}"
    return Evidence(f"service {name}", good, text), answer.headers


def judged(status: int, *, strict: bool) -> tuple[bool, str]:
    """Whether an answer through the edge is as it should be, and a remark. Pure.

    `strict` for a health path or a page, which have to be there. An API may well have nothing at its prefix: there only
    that it answers is known, and the evidence says so.
    """
    if status == 429:  # the edge's own rule for this address, which somebody else here may have used up
        return True, ""
    if strict:
        return status < 400, ""
    if status == 404:
        return True, " (it answers, with nothing at its prefix: a `health` path under its route would be asked instead)"
    return status < 500, ""


async def _redirects(gateway: Gateway, domain: str) -> Evidence:
    connection = gateway.address(domain, https=False).connection()
    try:
        answer = await connection.get("/")
        location = answer.headers.get("location", "nowhere")
        ok = answer.status in (301, 307, 308) and location.startswith("https://")
        return Evidence("http redirects to https", ok, f"{answer.status} → {location}")
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        return Evidence("http redirects to https", False, f"{type(error).__name__} {error}".strip())
    finally:
        await connection.close()


def _headers(blueprint: Blueprint, headers: dict[str, str]) -> Evidence:
    given_up = {name.lower() for name, value in blueprint.edge.headers.items() if not value}
    if not blueprint.edge.hsts:
        given_up.add("strict-transport-security")
    missing = [name for name in REQUIRED if name not in headers and name not in given_up]
    telling = [f"{name}: {headers[name]}" for name in DISCLOSING if name in headers]
    if missing or telling:
        return Evidence("security headers", False, "; ".join([*(f"no {name}" for name in missing), *telling]))
    return Evidence("security headers", True, f"{', '.join(REQUIRED)}; no server header")
