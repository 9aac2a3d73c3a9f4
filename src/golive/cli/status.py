"""golive status, golive releases."""

from __future__ import annotations

import time
from typing import Any

import click

from golive.cli import complete, output
from golive.cli.maintenance import line as maintenance_line
from golive.cli.place import Target, client, environment_option, find, place_options
from golive.errors import NotFound, UsageError
from golive.home import Home
from golive.units import human_duration, human_size

SOON = 14 * 86400
"""Seconds before a certificate's end from which on it is told; renewal begins long before."""
WELL = ("ready", "served")
HEADERS = ("name", "kind", "state", "up", "memory", "pid", "port")
OLD = {
    "starting": "starting, no traffic yet",
    "ready": "ready, no traffic yet",
    "canary": "a canary: part of the visitors have it (golive traffic)",
    "draining": "open requests end on it",
    "warm": "kept warm for a rollback",
}
DEPLOYMENTS = {"queued": "waits its turn", "running": "is under way"}
RELEASES = {"ready": "kept", "making": "being made"}


@click.command()
@click.argument("directory", type=click.Path(), required=False, metavar="[DIR]")
@click.option("--app", metavar="APP", help="Only this app.", shell_complete=complete.apps)
@environment_option
@click.option("-C", "--directory", "other", type=click.Path(), help="Checkout to look in.")
@click.option("--all", "everything", is_flag=True, help="Every app, wherever you stand.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(
    directory: str | None, app: str | None, environment: str, other: str | None, everything: bool, as_json: bool
) -> int:
    """What runs: of the app here, or of every app where there is none; and the standby that follows this host. On a
    standby: what it follows, and how far behind it is.

    \b
    Examples:
      golive status
      golive status --all --json | jq '.apps[].release'
    """
    if Home.default().standby.exists():
        return _show_standby(as_json)
    place = directory or other
    target = None if everything else _target(place, app, environment)
    found = client().get("/v1/status", **(target.query() if target else {}))
    if as_json:
        output.data(found)
        return 0
    if not found["apps"]:
        _say_nothing_is_there(target, named=app is not None)
    for one in found["apps"]:
        _show_app(one)
    if found["apps"]:
        _show_machine(found)
    return 0


def _show_standby(as_json: bool) -> int:
    """This host serves nothing itself."""
    from golive.cli.standby import show

    found = client().get("/v1/standby")
    if as_json:
        output.data({"apps": [], "standby": found})
    else:
        show(found)
    return 0


def _target(place: str | None, app: str | None, environment: str) -> Target | None:
    from pathlib import Path

    try:
        return find(Path(place or "."), environment, app)
    except UsageError:
        if place or app or environment != "production":
            raise
        return None


def _say_nothing_is_there(target: Target | None, *, named: bool) -> None:
    if target is None:
        print("nothing is deployed here yet; golive up in a checkout makes it live")
    elif named:
        raise NotFound(f"there is no app {target}", hint="golive status --all lists the apps")
    else:
        print(f"{target} is not deployed here yet; golive up makes it live")


def _show_app(app: dict[str, Any]) -> None:
    release = f"release {app['release']}" if app["release"] else "not live"
    title = output.paint(f"{app['app']} · {app['environment']} · {release}", "bold", _stdout())
    print("  ".join([title, *app["urls"]]))
    rows = [row for name, service in app["services"].items() for row in service_rows(name, service)]
    rows += [(name, f"{r['engine']} {r['version']}", *_process(r)) for name, r in app["resources"].items()]
    rows += [(name, f"{c['kind']} of {c['of']}", *_process(c)) for name, c in app["copies"].items()]
    if rows:
        output.table(HEADERS, rows, fold=("kind", "state"))
    for line in (
        *pool_lines(app["resources"]),
        *replica_lines(app),
        *backup_lines(app["backups"]),
        *domain_lines(app["domains"]),
    ):
        print(f"  {line}")
    if app["maintenance"]:
        print(f"  {maintenance_line(app['maintenance'])}")
    for line in old_lines(app["old"]):
        print(f"  {line}")
    for deployment in app["deployments"]:
        print(f"  {deployment['kind']} {deployment['id']} {DEPLOYMENTS.get(deployment['state'], deployment['state'])}")
    print()


def pool_lines(resources: dict[str, dict[str, Any]]) -> list[str]:
    """How much of each pool is used, as far as it said so."""
    lines = []
    for name, resource in resources.items():
        if use := resource.get("use"):
            waiting = f", {use['waiting']} waiting, the first for {use['waited']} s" if use["waiting"] else ""
            clients = f"{use['clients']} client{'s' * (use['clients'] != 1)}"
            lines.append(f"{name}: {clients} on {use['used']} connections in use, {use['idle']} idle{waiting}")
    return lines


def replica_lines(app: dict[str, Any]) -> list[str]:
    """How far replicas are behind, and who answers what is read from them."""
    lines = []
    for name, copy in app["copies"].items():
        if lag := copy.get("lag"):
            behind = f"{human_size(lag['bytes'])} behind" if lag["bytes"] else "has all"
            late = f", {human_duration(lag['seconds'])}" if lag["seconds"] >= 1 else ""
            lines.append(f"{name}: {lag['state']}, {behind}{late}{'' if lag['serves'] else ', not asked'}")
    lines += [f"{name} on port {r['port']}: {', '.join(r['served_by'])}" for name, r in app["reads"].items()]
    return lines


def domain_lines(domains: dict[str, dict[str, Any]]) -> list[str]:
    """What is in the way of a certificate that browsers trust, and what ends soon."""
    lines = []
    for name, one in domains.items():
        if one["trouble"]:
            lines.append(f"{name}: no new certificate: {one['trouble']}; next try {output.ahead(one['next_at'])}")
        elif one["certificate"] == "self-signed":
            lines.append(f"{name}: no certificate yet{': ' + one['why_none'] if one['why_none'] else ''}")
        if one["ends"] and one["ends"] - time.time() < _late(one):
            word = "ends" if one["ends"] > time.time() else "ended"
            lines.append(f"{name}: its certificate {word} {output.ahead(one['ends'])}")
    return lines


def _late(one: dict[str, Any]) -> float:
    """Seconds before its end at which a certificate should have been renewed long ago: those that live for six days are
    never far from theirs."""
    if one["renew_at"] is None:
        return SOON
    return min(SOON, 0.75 * (float(one["ends"]) - float(one["renew_at"])))


def backup_lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """When each database was backed up, and what is wrong with that."""
    lines = []
    for name, one in found.items():
        lines.append(f"{name}: {_backed_up(one)}")
        if one["trouble"]:
            lines.append(f"{name}: {one['trouble']}")
        if (found_wrong := one["damaged"]) and found_wrong["what"] not in (one["trouble"] or ""):
            lines.append(f"{name}: a backup failed {output.ago(found_wrong['at'])}: {found_wrong['what']}")
        if one["soon_full"]:
            lines.append(f"{name}: {full_line(one)}")
    return lines


def _backed_up(one: dict[str, Any]) -> str:
    receiving = one["receiving"].replace("_", " ")
    if one["last"]:
        line = f"backed up {output.ago(one['last'])}"
        line += f", proven {output.ago(one['drilled'])}" if one["drilled"] else ", unproven"
        return line if receiving == "ready" else f"{line}, writes since are not received ({receiving})"
    if receiving not in ("ready", "starting", "stopped"):
        return f"not backed up yet, its writes cannot be received ({receiving})"
    return "not backed up yet" if one["trouble"] else "not backed up yet, the first backup is made within minutes"


def full_line(one: dict[str, Any]) -> str:
    """Of a folder of backups that fills."""
    if one["room"] <= 0 or not one["full_at"]:
        return "there is no room for more backups: free some, or change [backups] budget, keep or to in golive.toml"
    days = max((one["full_at"] - time.time()) / 86400, 0)
    return (
        f"the place of the backups is full in {days:.0f} days at this pace, {human_size(one['room'])} are left: "
        "free some, or change [backups] budget, keep or to in golive.toml"
    )


def _stdout() -> Any:
    import sys

    return sys.stdout


def _show_machine(found: dict[str, Any]) -> None:
    edge, daemon = found["edge"], found["daemon"]
    line = f"edge {edge['state']} · daemon up {output.age(daemon['started_at'])}, pid {daemon['pid']}"
    print(output.paint(line, "dim", _stdout()))
    if found["standbys"]:
        from golive.cli.standby import follower_lines

        print("\n".join(follower_lines(found["standbys"], time.time())))
    if found["replaced"]:
        output.say(f"warning: {found['replaced']}; if this one is to go on instead: golive recover --take-over")
    for text in found["bundle_trouble"]:
        output.say(f"warning: {text}")


def service_rows(name: str, service: dict[str, Any]) -> list[tuple[Any, ...]]:
    """One row for each instance; for what has none, one that says why."""
    kind, instances = service["kind"], service["instances"]
    if since := service.get("suspended_since"):
        return [(name, kind, f"suspended {output.ago(since)}", "", "", "", "")]
    if kind == "cron":
        last = service["last_run"]
        state = f"{last['outcome'] or 'running'}, {output.ago(last['due_at'])}" if last else "not due yet"
        return [(name, f"cron {service['schedule']}", state, "", "", "", "")]
    if not instances:
        return [(name, kind, "served" if kind == "static" else "none", "", "", "", "")]
    several = len(instances) > 1 or service["wanted"] > 1
    return [(f"{name}.{i['slot']}" if several else name, kind, *_process(i)) for i in instances]


def _process(item: dict[str, Any]) -> tuple[Any, ...]:
    state = item["state"].replace("_", " ")
    if item["reason"] and item["state"] not in WELL:
        state += f": {item['reason']}"
    if item["restarts"]:
        state += f" ({item['restarts']} restart{'s' if item['restarts'] > 1 else ''})"
    memory = human_size(item["memory"]) if item["memory"] else ""
    return (state, output.age(item["since"]) if item["pid"] else "", memory, item["pid"], item["port"])


def old_lines(old: list[dict[str, Any]]) -> list[str]:
    """Generations beside the live ones, those of one release and fate together."""
    fates: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for one in old:
        fates.setdefault((one["release"], one["state"]), []).append(one)
    lines = []
    for (release, state), ones in fates.items():
        left = max([one["seconds_left"] or 0 for one in ones])
        limit = f", {human_duration(left)} more at most" if left else ""
        names = ", ".join(one["service"] for one in ones)
        lines.append(f"release {release} of {names}: {OLD.get(state, state)}{limit}")
    return lines


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def releases(target: Target, as_json: bool) -> int:
    """Releases, newest first. Kept ones can be rolled back to; one that is warm takes traffic at once.

    \b
    Example:
      golive releases --app threadr
    """
    found = client().get("/v1/releases", **target.query())
    if as_json:
        output.data(found)
        return 0
    rows = [
        (
            r["release"],
            RELEASES.get(r["state"], r["state"]) + (", warm" if r["warm"] and r["state"] == "ready" else ""),
            output.ago(r["created_at"]),
            r["by"],
            _schema(r),
        )
        for r in found["releases"]
    ]
    output.table(("release", "state", "made", "by", "schema"), rows, fold=("by",))
    return 0


def _schema(release: dict[str, Any]) -> str | None:
    """What it was made for, and how far the database is ahead of that."""
    since, contracts = release.get("migrated_since"), release.get("contracts_since")
    if not since or release["state"] not in ("ready", "live"):
        return str(release["schema"] or "") or None
    taken = f", {len(contracts)} a contract" if contracts else ""
    return f"{release['schema'] or 'none'}, {len(since)} applied since{taken}"
