"""A database under writes, killed again and again: what was acknowledged is there, and any instant can be had back.

golive runs it, restarts it, receives its WAL and backs it up, as it does for any app. What is killed is chosen at
random, from a seed: the same seed gives the same rounds, if not the same instants.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks.command import LAUNCHER, CommandFailedError, Golive, processes_of, scratch
from benchmarks.ledger import STATE, TABLE, Ledger, Moment
from benchmarks.processes import wait_for
from benchmarks.result import Bar, Result, Table
from golive.backup import catalog, recovery, ship
from golive.backup.credentials import Credentials
from golive.backup.recovery import Goal, Latest, Until
from golive.backup.repository import Repository
from golive.backup.restore import restore
from golive.backup.server import Server, connect
from golive.data.postgres_plan import REPLICATOR, SUPERUSER
from golive.engines import Engines
from golive.home import Home
from golive.system import ports, users

APP = Path(__file__).with_name("app")
PLACE = ("bench", "production", "db")
WRITERS = 4
PATIENCE = 120.0
KINDS = {
    "the server": 30,
    "the server and all its processes": 20,
    "one of its processes": 15,
    "the receiver of WAL": 20,
    "golive's daemon": 10,
    "a base backup under way": 5,
    "a restore under way": 10,
    "everything, and the data directory deleted": 5,
}
"""What is killed with -9, and how often of 115."""
ENDS_CONNECTIONS = {*[*KINDS][:3], [*KINDS][-1]}


@dataclass
class Kind:
    rounds: int = 0
    lost: int = 0
    back: list[float] = field(default_factory=list)
    """Seconds until every writer had a row acknowledged again."""
    received: list[float] = field(default_factory=list)
    """Seconds until what they wrote was received again: until then, what the disk has is nowhere else."""


@dataclass
class Loss:
    """Of one round that deleted the data directory."""

    rows: int
    seconds: float
    """Of writes: from the oldest row that was lost to the kill."""
    restored: float


class Bench:
    def __init__(self, golive: Golive, chance: random.Random) -> None:
        self.golive, self.chance = golive, chance
        self.home = Home(golive.home)
        self.folder = self.home.resource(*PLACE)
        self.received = self.home.received(*PLACE)
        self.repository = Repository(
            str(self.home.backups), Credentials(), self.home.backup_keys, catalog.source(*PLACE)
        )
        self.ledger = Ledger(self._url())
        self.kinds = {name: Kind() for name in KINDS}
        self.losses: list[Loss] = []
        self.moments: list[Moment] = []

    def _url(self) -> str:
        instance = self.golive.status().instances[0]
        return psutil.Process(instance.pid).environ()["DATABASE_URL"]

    # What is killed

    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.folder / "data/postmaster.pid").read_text().split()[0]))

    def _kill(self, *processes: psutil.Process) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _named(self, name: str) -> list[psutil.Process]:
        return [process for process in processes_of(self.home.root) if process.name() == name]

    def round(self, kind: str) -> None:
        before = self.ledger.counts()
        wait_for("writes", lambda: self.ledger.goes_on(before), PATIENCE)
        time.sleep(self.chance.uniform(0.05, 0.6))
        began = time.monotonic()
        actions: dict[str, Callable[[], object]] = {
            "the server": lambda: self._kill(self.postmaster()),
            "the server and all its processes": self._kill_all,
            "one of its processes": lambda: self._kill(self.chance.choice(self.postmaster().children())),
            "the receiver of WAL": lambda: self._kill(*self._named("pg_receivewal")),
            "golive's daemon": self._kill_daemon,
            "a base backup under way": self._kill_backup,
            "a restore under way": self._kill_restore,
            "everything, and the data directory deleted": self._lose_disk,
        }
        since, connections = self.ledger.counts(), dict(self.ledger.connections)
        actions[kind]()
        if kind in ENDS_CONNECTIONS:
            wait_for(f"writes after a kill of {kind}", lambda: self.ledger.is_back(connections), PATIENCE)
        wait_for(f"writes after a kill of {kind}", lambda: self.ledger.goes_on(since), PATIENCE)
        mine = self.kinds[kind]
        mine.rounds += 1
        mine.back.append(time.monotonic() - began)
        wait_for(f"WAL to be received after a kill of {kind}", self.is_receiving, PATIENCE)
        mine.received.append(time.monotonic() - began)
        lost = self.ledger.lost()
        mine.lost += len(lost)
        self.ledger.forgive(lost)

    def is_receiving(self) -> bool:
        """All that was written a moment ago."""
        query = "SELECT FROM pg_stat_replication WHERE write_lsn >= %s"
        with suppress(OSError, IndexError, psycopg.OperationalError), self.superuser() as session:
            row = session.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
            for _ in range(20):
                if session.execute(query, row).fetchall():
                    return True
                time.sleep(0.02)
        return False

    def superuser(self) -> psycopg.Connection[Any]:
        lines = (self.folder / "data/postmaster.pid").read_text().splitlines()
        return connect(Path(lines[4]), int(lines[3]), SUPERUSER, "postgres")

    def _kill_all(self) -> None:
        server = self.postmaster()
        self._kill(server, *server.children(recursive=True))

    def _kill_daemon(self) -> None:
        self._kill(psutil.Process(self.golive.status().daemon))
        self.golive.status()

    def _kill_backup(self) -> None:
        """Of golive's own, at any moment of it; the next one is whole."""
        words = [str(LAUNCHER), "backup", "create", "-C", str(self.golive.checkout)]
        environment = {**os.environ, "GOLIVE_HOME": str(self.home.root)}
        with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
            while command.poll() is None:
                if found := self._named("pg_basebackup"):
                    time.sleep(self.chance.uniform(0, 0.3))
                    self._kill(*found)
                    break
                time.sleep(0.005)
        self.golive.run("backup", "create", "-C", str(self.golive.checkout))
        self.golive.run("backup", "verify", "-C", str(self.golive.checkout))

    def _kill_restore(self) -> None:
        """Of the newest backup into another folder; begun again, it ends well and leaves nothing of the first."""
        folder = self.folder / "again"
        words = [sys.executable, "-m", "benchmarks.recovery", str(self.home.root), str(folder)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as restoring:
            time.sleep(self.chance.uniform(0.5, 3))
            restoring.kill()
        shutil.rmtree(folder, ignore_errors=True)
        before = sum(self.ledger.counts().values())
        asyncio.run(self.bring_back(Latest(), folder))
        found = asyncio.run(self.state_of(folder))
        if found[0] < before:
            raise CommandFailedError(f"a restore brought back {found[0]} rows; {before} were acknowledged before it")
        shutil.rmtree(folder)
        if left := [path.name for path in self.folder.iterdir() if path.name.startswith("again")]:
            raise CommandFailedError(f"a restore left {left} behind")

    def _lose_disk(self) -> None:
        """The rows that are lost are those that the receiver had not received."""
        server, gone = self.postmaster(), self.folder / "gone"
        (self.folder / "data").rename(gone)  # golive would start it again while it is being deleted
        self._kill(server, *server.children(recursive=True))
        died = time.monotonic()
        shutil.rmtree(gone)
        wait_for("the receiver to end", lambda: not self._named("pg_receivewal"), PATIENCE)
        promised = self.ledger.counts()
        folder = self.folder / "restored"
        took = asyncio.run(self.bring_back(Latest(), folder))
        folder.rename(self.folder / "data")
        wait_for("writes after a restore", lambda: self.ledger.goes_on(promised), PATIENCE)
        lost = [(writer, n, at) for writer, n, at in self.ledger.lost(all_of_it=True) if at < died + 1]
        self.ledger.forgive(lost)
        seconds = max((died - at for _, _, at in lost), default=0.0)
        self.losses.append(Loss(len(lost), max(seconds, 0.0), took))
        self.settled()

    # What is brought back

    def settled(self) -> None:
        """WAL is received, and a backup leads to it."""

        def whole() -> bool:
            found = json.loads(self.golive.run("backup", "list", "--json", "-C", str(self.golive.checkout)))
            one = found["databases"][0]
            return one["receiving"]["status"] == "ready" and any(
                each.get("stream") == one["receiving"]["stream"] for each in one["backups"]
            )

        while not whole():
            with suppress(CommandFailedError):  # the daemon may be at it already
                self.golive.run("backup", "create", "-C", str(self.golive.checkout))
            time.sleep(0.5)

    async def bring_back(self, goal: Goal, folder: Path) -> float:
        """The seconds that it took, as golive does it: the WAL out of the location, then the backup."""
        return await _bring_back(self.home, self.repository, goal, folder)

    async def state_of(self, folder: Path) -> tuple[int, int]:
        """What a server finds in a restored folder, under golive's own settings."""
        server = await _server(self.home)
        port, log = ports.choose(), self.home.root / "restored.log"
        arguments = ["-c", f"config_file={self.folder}/postgresql.conf", "-c", f"port={port}"]
        arguments += ["-c", f"unix_socket_directories={server.sockets}", "-c", "listen_addresses="]
        user = server.user
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                str(server.engine.program("postgres")), "-D", str(folder), *arguments, stdout=output, stderr=output,
                env=server.environment(), cwd=folder, user=user.uid if user else None, group=user.gid if user else None,
                extra_groups=[] if user else None,
            )  # fmt: skip
        try:
            while True:
                with suppress(psycopg.OperationalError), connect(server.sockets, port, SUPERUSER, PLACE[0]) as session:
                    return session.execute(STATE).fetchone() or (0, 0)
                if process.returncode is not None:
                    raise CommandFailedError(f"a restored server ended:\n{log.read_text()[-3000:]}")
                await asyncio.sleep(0.05)
        finally:
            process.send_signal(signal.SIGINT)
            await process.wait()

    def to_moment(self, moment: Moment) -> bool:
        """Exactly the rows that were committed by then."""
        folder = self.folder / "again"
        asyncio.run(self.bring_back(Until(moment.at), folder))
        found = asyncio.run(self.state_of(folder))
        shutil.rmtree(folder)
        return found == moment.digest


async def _server(home: Home) -> Server:
    """As a restored one runs beside that of the app."""
    folder = home.resource(*PLACE)
    data = folder / "data"
    owner = pwd.getpwuid((data if data.exists() else home.received(*PLACE) / "current").stat().st_uid).pw_name
    user = users.find(owner) if os.geteuid() == 0 else None
    engine = await Engines(home).find("postgres")
    sockets = home.root / "restored"
    sockets.mkdir(exist_ok=True)
    if user:
        os.chown(sockets, user.uid, user.gid)
    return Server("/".join(PLACE), engine, sockets, ports.choose(), user, SUPERUSER, REPLICATOR)


async def _bring_back(home: Home, repository: Repository, goal: Goal, folder: Path) -> float:
    began = time.monotonic()
    server, location = await _server(home), repository.location()
    manifest = recovery.choose(catalog.backups(location, repository.source), goal)
    key, into = repository.key_of(manifest), folder.with_name(f"{folder.name}.wal")
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    into.chmod(0o711)
    try:
        ship.fetch(repository, manifest, key, home.received(*PLACE), into, server.user)
        await restore(server, location, manifest, key, goal, folder, into)
    finally:
        shutil.rmtree(into)
    return time.monotonic() - began


def run(rounds: int = 115, moments: int = 20, seed: int | None = None) -> Result:
    seed = random.randrange(10_000) if seed is None else seed
    chance = random.Random(seed)
    result = Result("recovery")
    with scratch(APP) as golive:
        with (golive.checkout / "golive.toml").open("a") as file:
            file.write('\n[resources]\ndb = "postgres"\n')
        golive.up()
        bench = Bench(golive, chance)
        _prepare(bench)
        with bench.ledger.writing(WRITERS):
            for number, kind in enumerate(_plan(rounds, chance), 1):
                bench.round(kind)
                if len(bench.moments) < moments * number // rounds:
                    bench.moments.append(bench.ledger.moment())
                _say(f"{number} of {rounds}: {kind}, writes again after {bench.kinds[kind].back[-1]:.1f} s")
        missing = len(bench.ledger.lost(all_of_it=True))
        exact = 0
        for number, moment in enumerate(bench.moments, 1):
            exact += bench.to_moment(moment)
            _say(f"moment {number} of {len(bench.moments)}: {exact} exact")
    _report(result, bench, missing, exact)
    result.details["seed"] = seed
    return result


def _plan(rounds: int, chance: random.Random) -> list[str]:
    """Each kind as often as its share, at least once, in any order."""
    whole = sum(KINDS.values())
    plan = [name for name, share in KINDS.items() for _ in range(max(1, round(share * rounds / whole)))]
    chance.shuffle(plan)
    return plan


def _prepare(bench: Bench) -> None:
    """The server remembers when each row was committed: its own word on what an instant held."""
    with bench.superuser() as session:
        session.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    bench.postmaster().send_signal(signal.SIGINT)

    def remembers() -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(bench.ledger.url, autocommit=True) as connection:
            connection.execute(TABLE)
            return connection.execute("SHOW track_commit_timestamp").fetchone() == ("on",)
        return False

    wait_for("the database to come back", remembers, PATIENCE)
    bench.settled()


def _report(result: Result, bench: Bench, missing: int, exact: int) -> None:
    table = Table(
        f"{sum(bench.ledger.counts().values()):,} rows acknowledged to {WRITERS} writers, synchronous commit",
        ("killed with -9", "times", "rows lost", "writes again, median", "slowest", "WAL received again", "slowest"),
    )
    for name, kind in bench.kinds.items():
        times = [each for one in (kind.back, kind.received) for each in (statistics.median(one), max(one))]
        table.rows.append((name, f"{kind.rounds}", f"{kind.lost}", *(f"{each:.2f} s" for each in times)))
    table.note = "the last line is what is lost beyond the rows that the receiver had not received, see below"
    losses = Table("the data directory deleted", ("rows lost", "written within", "restored in"))
    losses.rows = [(f"{one.rows}", f"{one.seconds * 1000:.0f} ms", f"{one.restored:.1f} s") for one in bench.losses]
    result.tables += [table, losses]
    rounds = sum(kind.rounds for kind in bench.kinds.values())
    result.bars += [
        Bar("rounds of kill -9", rounds, 100, at_least=True),
        Bar("acknowledged rows lost on the same disk", missing + sum(kind.lost for kind in bench.kinds.values()), 0),
        Bar("RPO with the disk gone, seconds of writes", max(one.seconds for one in bench.losses), 1, unit=" s"),
        Bar(f"instants of {len(bench.moments)} brought back exactly", exact, len(bench.moments), at_least=True),
    ]
    result.details["losses"] = [one.__dict__ for one in bench.losses]


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _main(root: Path, folder: Path) -> None:
    """A restore in a process that can be killed."""
    home = Home(root)
    repository = Repository(str(home.backups), Credentials(), home.backup_keys, catalog.source(*PLACE))
    asyncio.run(_bring_back(home, repository, Latest(), folder))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
