"""golive db: insight; the rest is in db_work."""

from __future__ import annotations

from typing import Any

import click

from golive.cli import complete, db_branch, db_dump, db_exchange, db_shards, db_work, output
from golive.cli.place import Target, client, place_options
from golive.cli.status import replica_lines
from golive.errors import from_json
from golive.units import human_duration, human_size

COLOURS = {"critical": "red", "warning": "yellow", "note": "cyan"}
LARGEST = 10
"""Tables that are shown; --json has them all."""


@click.group(invoke_without_command=True)
@click.pass_context
def db(context: click.Context) -> int | None:
    """The databases of the live release: what is wrong with them, and what to do.

    \b
    Examples:
      golive db
      golive db insight cache
      golive db shell
    """
    if context.invoked_subcommand is not None:
        return None
    code: int = context.invoke(insight)
    return code


@db.command()
@click.argument("resource", required=False, shell_complete=complete.resources)
@click.option("--json", "as_json", is_flag=True, help="As JSON: every table, index and session.")
@place_options
def insight(target: Target, resource: str | None, as_json: bool) -> int:
    """Size, largest tables, connections, cache, slow queries, and what wants mending, each with the command that mends
    it: indexes that are missing, unused, double or broken, bloat, long and idle transactions, wraparound, sequences
    near their end; for Redis memory, evictions, hit rate, persistence, slow commands. Changes nothing. Exit code 1
    when something is critical, or a database does not answer.

    \b
    Examples:
      golive db insight
      golive db insight db --json | jq '.resources[].findings'
    """
    found = client().get("/v1/db/insight", **target.query(), resource=resource)
    if as_json:
        output.data(found)
    else:
        for at, each in enumerate(found["resources"]):
            if at:
                print()
            _show(each)
    return 1 if any(_is_bad(each) for each in found["resources"]) else 0


def _is_bad(found: dict[str, Any]) -> bool:
    return "error" in found or any(each["level"] == "critical" for each in found["findings"])


def _show(found: dict[str, Any]) -> None:
    if "error" in found:
        print(f"{found['name']} does not answer")
        output.show_error(from_json(found["error"]))
        return
    facts = found["facts"]
    (_postgres if found["engine"] == "postgres" else _redis)(found, facts)
    for line in replica_lines({"copies": found.get("replicas", {}), "reads": {}}):
        print(f"replica      {line}")
    if not found["findings"]:
        print("\nnothing to mend")
    for each in found["findings"]:
        print(f"\n{output.paint(each['level'], COLOURS[each['level']])}  {each['about']}: {each['what']}")
        print(f"  {output.paint('do:', 'cyan')} {each['todo']}")


def _postgres(found: dict[str, Any], facts: dict[str, Any]) -> None:
    server, connections = facts["server"], facts["connections"]
    states = ", ".join(f"{count} {state}" for state, count in connections.items())
    up = human_duration(server["up"])
    print(f"{found['name']}: PostgreSQL {server['version']}, {human_size(server['size'])}, up {up}")
    print(f"connections  {sum(connections.values())} of {server['max_connections']}{f' ({states})' if states else ''}")
    if server["memory"]:
        print(f"memory       {', '.join(f'{name} {value}' for name, value in server['memory'].items())}")
    if asked := server["hits"] + server["reads"]:
        print(f"cache        {server['hits'] / asked:.1%} of {asked:,} blocks")
    print(f"oldest ids   {server['xid_age']:,} transactions, frozen from {server['freeze_at']:,}")
    if facts["tables"]:
        print()
        output.table(
            ("table", "rows", "table", "indexes", "toast"),
            [db_work.table_row(each) for each in facts["tables"][:LARGEST]],
        )
    if facts["slow"]:
        print()
        rows = [_slow(each) for each in facts["slow"]]
        output.table(("calls", "mean", "total", "query"), rows, fold=("query",))
    if facts["hidden"]:
        output.say(f"not seen, for want of a right or because of a lock: {', '.join(facts['hidden'])}")


def _slow(each: dict[str, Any]) -> tuple[str, ...]:
    times = (human_duration(each[name] / 1000) for name in ("mean", "total"))
    return (f"{each['calls']:,}", *times, output.cut(each["query"], 200))


def _redis(found: dict[str, Any], facts: dict[str, Any]) -> None:
    limit = f" of {human_size(facts['limit'])}" if facts["limit"] else ", no limit"
    keys = sum(space["keys"] for space in facts["keys"].values())
    expiring = sum(space["expiring"] for space in facts["keys"].values())
    up = human_duration(facts["up"])
    print(f"{found['name']}: Redis {facts['version']}, {keys:,} keys, {expiring:,} of them expire, up {up}")
    print(f"memory       {human_size(facts['used'])}{limit}, {facts['policy']}, {facts['evicted']:,} evicted")
    if facts["hit_rate"] is not None:
        print(f"hit rate     {facts['hit_rate']:.1%} of {facts['hits'] + facts['misses']:,} look-ups")
    print(f"latency      {facts['latency'] * 1000:.2f} ms")
    print(f"connections  {facts['clients']} of {facts['max_clients']}, {facts['blocked']} blocked")
    saves = {True: "snapshots", False: "nothing", None: "unknown"}[facts["saves"]]
    kept = "every write (aof)" if facts["aof"] else saves
    print(f"on disk      {kept}{', ' + ', '.join(facts['failing']) + ' failing' if facts['failing'] else ''}")


for _command in (
    db_branch.branch,
    db_work.size,
    db_work.shell,
    db_work.vacuum,
    db_work.reindex,
    db_exchange.promote,
    db_exchange.upgrade,
    db_shards.shards,
    db_dump.dump,
):
    db.add_command(_command)
