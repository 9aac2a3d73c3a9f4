"""golive domain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from golive.cli import output
from golive.cli.place import FILE, Target, client, place_options
from golive.errors import NotFound, UsageError, nearest

if TYPE_CHECKING:
    from golive.edge.records import Address, Finding, Record

SIGNED = {"local": "golive's local CA", "self-signed": "itself"}


@click.group()
def domain() -> None:
    """Domains of an app: the DNS records they need, who signed their certificates, and what is in the way.

    \b
    Examples:
      golive domain add shop.dev
      golive domain verify
      golive domain ls
    """


@domain.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def ls(target: Target, as_json: bool) -> int:
    """The live release's domains: who signed the certificate, until when, and what is in the way of a better one.

    \b
    Example:
      golive domain ls
    """
    found = client().get("/v1/domains", **target.query())
    if as_json:
        output.data(found)
        return 0
    rows = [(name, *_row(one)) for name, one in found["domains"].items()]
    output.table(("domain", "signed by", "ends", "renewed", "note"), rows, fold=("signed by", "note"))
    return 0


def _row(one: dict[str, Any]) -> tuple[str, str, str, str]:
    signed = one["issuer"] or SIGNED[one["certificate"]]
    note = one["why_none"] or ("brought by hand" if one["certificate"] == "own" else "")
    if one["trouble"]:
        note = f"{one['trouble']}; next try {output.ahead(one['next_at'])}"
    ends = output.ahead(one["ends"]) if one["ends"] else ""
    return signed, ends, output.ahead(one["renew_at"]) if one["renew_at"] else "", note


@domain.command()
@click.argument("names", nargs=-1, metavar="[DOMAIN]...")
@click.option("--address", "given", multiple=True, help="This machine's public address, where it has none of its own.")
@click.option("--resolver", "asking", metavar="IP[:PORT]", help="Who is asked where the name servers are.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def verify(target: Target, names: tuple[str, ...], given: tuple[str, ...], asking: str | None, as_json: bool) -> int:
    """Ask the domains' own name servers whether they lead to this machine; each wrong or missing record is named.

    Orders of certificates that failed before are made again at once.

    \b
    Examples:
      golive domain verify
      golive domain verify shop.dev --address 203.0.113.7
    """
    import asyncio

    from golive.edge import records

    addresses = _addresses(given)
    resolver = records.parse_resolver(asking) if asking else None
    chosen = _named(names, _declared(target)) if target.checkout else tuple(n.lower() for n in names)
    if not chosen:
        raise UsageError("which domains?", hint="name them, or go to the checkout")
    public = [name for name in chosen if not _is_local(name)]
    found = asyncio.run(_look(public, addresses, resolver))
    well = [f.domain for f in found if not f.problems]
    asked = client().send("POST", "/v1/domains/retry", {**target.query(), "domains": well}) if well else None
    if as_json:
        output.data({"domains": [_json(f) for f in found], "ordered": asked["domains"] if asked else []})
    else:
        _show(found, [name for name in chosen if name not in public])
    return 0 if len(well) == len(found) else 1


async def _look(names: list[str], addresses: tuple[str, ...], resolver: Address | None) -> list[Finding]:
    import asyncio

    from golive.edge import records

    return list(await asyncio.gather(*(records.look(name, addresses, resolver) for name in names)))


def _show(found: list[Finding], local: list[str]) -> None:
    for one in found:
        if not one.problems:
            print(f"{one.domain}: leads here, by {', '.join(one.found)} (asked {', '.join(one.servers)})")
            continue
        print(f"{one.domain}: not right yet")
        for line in one.problems:
            print(f"  {line}")
        _print_records(one.wanted)
    for name in local:
        print(f"{name}: a local name, which needs no DNS")


def _json(one: Finding) -> dict[str, Any]:
    wanted = [{"type": r.kind, "name": r.name, "value": r.value} for r in one.wanted]
    return {
        "domain": one.domain,
        "ok": not one.problems,
        "wanted": wanted,
        "found": list(one.found),
        "servers": list(one.servers),
        "problems": list(one.problems),
    }


@domain.command()
@click.argument("name", metavar="DOMAIN")
@click.option("--www", is_flag=True, help="Also www.DOMAIN, which is redirected to it.")
@click.option("--address", "given", multiple=True, help="This machine's public address, where it has none of its own.")
@place_options
def add(target: Target, name: str, www: bool, given: tuple[str, ...]) -> int:
    """Add a domain to golive.toml, and print the DNS records that it needs.

    \b
    Examples:
      golive domain add shop.dev
      golive domain add shop.dev --www
    """
    from golive.edge import records

    name = _valid(name)
    if www and name.startswith(("www.", "*.")):
        raise UsageError(f"there is no www.{name}", hint=f"golive domain add {name.partition('.')[2]} --www")
    addresses = tuple(map(records.parse_address, given)) or records.public_addresses()
    before = _declared(target)
    added = (name, f"www.{name}") if www else (name,)
    if all(each in before for each in added):
        output.say(f"nothing to do: {' and '.join(added)} {'are' if www else 'is'} in {FILE}")
    else:
        # What was only implied, <app>.localhost, gives way.
        kept = before if _written(target) else ()
        moved = {f"www.{name}": name} if www else {}
        _write(target, (*kept, *(each for each in added if each not in kept)), moved)
    if _is_local(name):
        return 0
    if addresses:
        print("records for your DNS provider:")
        for each in added:
            _print_records(records.wanted(each, addresses))
    else:
        both = " and ".join(added)
        print(f"records for your DNS provider: A {both} with the address at which this machine is reached")
    output.say("then: golive domain verify, and golive up")
    return 0


@domain.command()
@click.argument("name", metavar="DOMAIN")
@place_options
def rm(target: Target, name: str) -> int:
    """Take a domain out of golive.toml; the next deploy no longer answers it.

    \b
    Example:
      golive domain rm www.shop.dev
    """
    before = _declared(target)
    name = _named((name,), before)[0]
    if not _written(target):
        raise UsageError(f"{name} is not in {FILE}: it is what an app without domains has")
    left = tuple(n for n in before if n != name)
    if not left:
        raise UsageError(f"{name} is the only domain", hint=f"take `domains` out of {FILE} for <app>.localhost")
    _write(target, left, gone=name)
    return 0


@domain.command()
@click.argument("name", metavar="DOMAIN")
@click.option("--cert", "chain", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM, leaf first.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its private key, PEM.")
@click.option("--rm", "remove", is_flag=True, help="Take it away again.")
@place_options
def cert(target: Target, name: str, chain: Path | None, key: Path | None, remove: bool) -> int:
    """Serve a certificate of your own for a domain, checked first: chain, key, names, dates. A wildcard's serves every
    domain below it. It is copied; bring the renewed one the same way, and it is swapped without a dropped connection.

    \b
    Example:
      golive domain cert shop.dev --cert fullchain.pem --key privkey.pem
    """
    body = {**target.query(), "domain": name.lower()}
    if remove:
        client().send("DELETE", "/v1/domains/certificate", body)
        output.say(f"the certificate of {name} is away")
        return 0
    if chain is None or key is None:
        raise UsageError("a certificate needs both files", hint="--cert fullchain.pem --key privkey.pem")
    body |= {"chain": _text(chain), "key": _text(key)}
    found = client().send("PUT", "/v1/domains/certificate", body)
    output.say(f"{name}: signed by {found['issuer']}, ends {output.ahead(found['ends'])}")
    for note in found["notes"]:
        output.say(f"note: {note}")
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read", why=str(error), hint="it has to be PEM, which is text") from None


def _addresses(given: tuple[str, ...]) -> tuple[str, ...]:
    from golive.edge import records

    found = tuple(map(records.parse_address, given)) or records.public_addresses()
    if not found:
        raise UsageError(
            "at which address this machine is reached cannot be told",
            why="its own interfaces have private addresses only",
            hint="golive domain verify --address 203.0.113.7",
        )
    return found


def _print_records(wanted: tuple[Record, ...]) -> None:
    for record in wanted:
        print(f"  {record.kind:<4}  {record.name}  {record.value}")


def _is_local(name: str) -> bool:
    from golive.edge.local import is_local

    return is_local(name)


def _valid(name: str) -> str:
    from golive.blueprint.models import DOMAIN_PATTERN

    plain = name.strip().lower().rstrip(".")
    if not re.fullmatch(DOMAIN_PATTERN, plain) or len(plain) > 253:
        raise UsageError(f"{name!r} is not a domain", hint="such as shop.dev or www.shop.dev, without https://")
    return plain


def _named(names: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Those meant, all when none is. NotFound when one is not the app's."""
    for name in names:
        if name.lower() not in known:
            near = nearest(name, known)
            raise NotFound(f"{name} is none of the domains", hint=near or f"they are {', '.join(known)}")
    return tuple(n.lower() for n in names) or known


def _checkout(target: Target) -> Path:
    if target.checkout is None:
        raise UsageError(f"domains are in {FILE}: go to the checkout", hint="or name it with -C, without --app")
    return target.checkout


def _declared(target: Target) -> tuple[str, ...]:
    from golive.blueprint.load import load

    return load(_checkout(target), target.environment).blueprint.domains


def _path(target: Target) -> tuple[str, ...]:
    own = target.environment != "production" and "/" not in target.environment
    return ("environments", target.environment, "domains") if own else ("domains",)


def _written(target: Target) -> bool:
    """Whether the file has them, rather than golive's default."""
    import tomllib

    table: Any = tomllib.loads((_checkout(target) / FILE).read_text(encoding="utf-8"))
    for key in _path(target):
        table = table.get(key) if isinstance(table, dict) else None
    return table is not None


def _write(
    target: Target, names: tuple[str, ...], moved: Mapping[str, str] = MappingProxyType({}), gone: str = ""
) -> None:
    """Into golive.toml, all else in it kept: domains, those that are redirected now, none to or from one that is gone.
    BlueprintError, and nothing is written, when it would no longer load."""
    from golive.blueprint.checkout import Checkout
    from golive.blueprint.document import parse_document
    from golive.blueprint.resolve import resolve
    from golive.checks import mend
    from golive.checks.model import Setting
    from golive.system.files import write_atomic

    folder = _checkout(target)
    file = folder / FILE
    before = file.read_text(encoding="utf-8")
    policy = (*_path(target)[:-1], "edge", "redirect")
    redirects = [Setting((*policy, name), to) for name, to in moved.items()]
    after = _without(mend.written(before, [Setting(_path(target), list(names)), *redirects]), policy, gone)
    resolve(parse_document(after), Checkout(folder), target.environment)
    write_atomic(file, after, mode=file.stat().st_mode & 0o777)
    output.say(mend.diff(before, after).rstrip())


def _without(text: str, policy: tuple[str, ...], gone: str) -> str:
    """The file without redirects to and from a domain."""
    import tomlkit

    document = tomlkit.parse(text)
    table: Any = document
    for key in policy:
        table = table.get(key) if isinstance(table, dict) else None
    redirects = table if isinstance(table, dict) else {}
    for name in [name for name, to in redirects.items() if gone in (name, to)]:
        del redirects[name]
    return tomlkit.dumps(document)
