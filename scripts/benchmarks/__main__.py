"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from rich.console import Console

from benchmarks import machine
from benchmarks.command import CommandFailedError
from benchmarks.processes import NotReadyError
from benchmarks.proof import RefusedError
from benchmarks.report import show
from benchmarks.result import Result
from golive.errors import GoliveError

KINDS = (
    "edge",
    "policies",
    "deploy",
    "grpc",
    "idle",
    "start",
    "build",
    "examples",
    "import",
    "backup",
    "branch",
    "recovery",
    "recover",
    "migrate",
    "check",
    "cache",
    "canary",
)


def main() -> int:
    options = _arguments()
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 120)
    described = machine.describe()
    for name, value in described.items():
        console.print(f"[bold]{name}[/bold]  {value}", highlight=False)
    kinds = KINDS if options.kind == "all" else (options.kind,)
    results = []
    try:
        for kind in kinds:
            console.print(f"\nmeasuring {kind} …", style="dim")
            result = _runner(kind, options)()
            show(console, result)
            results.append(result)
    except machine.MissingToolError as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 2
    except (CommandFailedError, NotReadyError, RefusedError, TimeoutError, GoliveError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps({"machine": described, "results": [result.to_json() for result in results]}, indent=2))
    return 0 if all(result.met for result in results) else 1


def _runner(kind: str, options: argparse.Namespace) -> Callable[[], Result]:
    """Each kind is imported only when it is asked for: they need different parts of golive."""
    if kind == "edge":
        from benchmarks import edge

        return lambda: edge.run(options.seconds or 5, options.rounds, tuple(options.only or ()))
    if kind == "policies":
        from benchmarks import policies

        return lambda: policies.run(options.seconds or 1, options.rounds, tuple(options.only or ()))
    if kind == "deploy":
        from benchmarks import deploy

        if options.kill:
            return lambda: deploy.run_kill(options.seconds or 30)
        return lambda: deploy.run(options.count)
    if kind == "grpc":
        from benchmarks import grpc

        return grpc.run
    if kind == "build":
        from benchmarks import build

        return lambda: build.run(options.rounds, tuple(options.only or ()), options.seconds or 420)
    if kind == "examples":
        from benchmarks import examples

        return lambda: examples.run(tuple(options.only or ()))
    if kind == "import":
        from benchmarks import imports

        return imports.run
    if kind == "backup":
        from benchmarks import backup

        return lambda: backup.run(options.gigabytes, options.rounds)
    if kind == "branch":
        from benchmarks import branch

        return lambda: branch.run(options.gigabytes, options.rounds)
    if kind == "recovery":
        from benchmarks import recovery

        return lambda: recovery.run(options.kills, options.moments, options.seed)
    if kind == "recover":
        from benchmarks import recover

        return recover.run
    if kind == "migrate":
        from benchmarks import migrate

        return lambda: migrate.run(options.rows)
    if kind == "canary":
        from benchmarks import canary

        return canary.run
    if kind == "cache":
        from benchmarks import cache

        return lambda: cache.run(options.seconds or 5, options.rounds)
    if kind == "check":
        from benchmarks import check

        return (lambda: check.run_examples(tuple(options.only or ()))) if options.examples else check.run
    from benchmarks import idle

    if kind == "idle":
        return lambda: idle.run_idle(options.seconds or 60)
    return idle.run_start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures what golive claims, beside the bar it is held to; exits 1 when one is missed.",
    )
    parser.add_argument(
        "kind",
        choices=(*KINDS, "all"),
        help="cache: kept answers beside the same made anew; "
        "edge: against Traefik, Caddy and nginx; policies: what each policy of the edge costs, and all of them beside "
        "Traefik and Caddy; deploy: deploys and rollbacks under load; grpc: gRPC, "
        "gRPC-web and REST of one service meanwhile; idle: memory and processor time at rest; start: how long commands "
        "take; build: beside the bare tools; examples: all five, up, in a browser, changed under load; import: other "
        "platforms' files of the corpus; backup: backup and restore beside pg_dump and pgBackRest; branch: "
        "a branch of a database under writes, where files are cloned and beside pg_dump | psql; recovery: "
        "a database under writes killed with -9 at random, its directory deleted, instants brought back; recover: "
        "two examples on an empty home, from a folder and from S3; migrate: migrations of a large table under writes, "
        "rehearsed, deployed, refused; check: planted faults, and how many are found; canary: good and bad releases, "
        "and how many requests the bad ones touched",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help="of each load (edge: 5, policies: 1), at rest (idle: 60), of kills (deploy: 30), of all (build: 420)",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="edge, policies, build, backup, branch: interleaved rounds (3)"
    )
    parser.add_argument("--kills", type=int, default=115, help="recovery: rounds (115)")
    parser.add_argument("--moments", type=int, default=20, help="recovery: instants that are brought back (20)")
    parser.add_argument("--seed", type=int, help="recovery: of the rounds, to have the same again")
    parser.add_argument("--gigabytes", type=float, default=1.5, help="backup, branch: of the database (1.5)")
    parser.add_argument(
        "--only",
        action="append",
        help="edge: only this engine; policies: with this word; build, examples, check: this example; may be repeated",
    )
    parser.add_argument("--count", type=int, default=20, help="deploy: how many deploys and rollbacks (20)")
    parser.add_argument("--rows", type=int, default=5_000_000, help="migrate: of the table (5,000,000)")
    parser.add_argument("--kill", action="store_true", help="deploy: instead, kill one of two instances every second")
    parser.add_argument("--examples", action="store_true", help="check: instead, the five examples, up and checked")
    parser.add_argument("--json", action="store_true", help="results as JSON on stdout, narration on stderr")
    parser.epilog = "scripts/bench --setup installs wrk, h2load, nginx and Chromium on Debian, as root."
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
