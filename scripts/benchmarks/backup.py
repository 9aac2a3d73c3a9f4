"""A database backed up and restored: golive beside what people do by hand and beside pgBackRest, the best of its kind.

One database, made by pgbench; each way takes a backup of it and brings it back, and what came back is compared with
what was there. A restore counts until a server answers on what it made.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.cluster import NAME, SOURCE, Cluster, cluster, query
from benchmarks.command import CommandFailedError
from benchmarks.machine import find
from benchmarks.result import Bar, Result, Table
from golive.backup import base, catalog
from golive.backup.archive import Key
from golive.backup.location import Folder
from golive.backup.recovery import Latest
from golive.backup.restore import restore
from golive.backup.server import Server
from golive.units import human_size

GB = 1_000_000_000
SCALE = 15_000_000
"""Bytes that one of pgbench's scale factor makes, with its index."""
HAND = "pg_dump | gzip, psql"
GOLIVE = "golive (zstd, AES-256-GCM)"
PEER = "pgBackRest (zstd)"
SEALED = "pgBackRest (zstd, AES-256-CBC)"
CONTENTS = (
    "SELECT 'accounts', count(*), sum(hashtextextended(a::text, 0)) FROM pgbench_accounts a"
    " UNION ALL SELECT 'tellers', count(*), sum(hashtextextended(t::text, 0)) FROM pgbench_tellers t"
    " UNION ALL SELECT 'branches', count(*), sum(hashtextextended(b::text, 0)) FROM pgbench_branches b"
    " UNION ALL SELECT 'history', count(*), sum(hashtextextended(h::text, 0)) FROM pgbench_history h ORDER BY 1"
)
Check = Callable[[Server, str], None]


class Way(Protocol):
    """`restore` returns the seconds until a server answered, then lets `check` look at what is there."""

    async def backup(self) -> int:
        """Bytes on disk."""

    async def restore(self, check: Check) -> float: ...


@dataclass
class Measured:
    backups: list[float] = field(default_factory=list)
    restores: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def backup(self) -> float:
        return min(self.backups)

    @property
    def restore(self) -> float:
        return min(self.restores)


@dataclass
class Golive:
    made: Cluster
    key: Key = field(default_factory=Key.new)

    def __post_init__(self) -> None:
        self.location = Folder(self.made.home.root / "backups")

    async def backup(self) -> int:
        for old in catalog.backups(self.location, SOURCE):
            catalog.remove(self.location, SOURCE, old.id)
        return (await base.create(self.made.server, self.location, SOURCE, self.key)).size

    async def restore(self, check: Check) -> float:
        folder = self.made.store.folder / "restored"
        began = time.perf_counter()
        manifest = catalog.find(self.location, SOURCE)
        await restore(self.made.scratch, self.location, manifest, self.key, Latest(), folder, None)
        return await _served(self.made, folder, began, check)


@dataclass
class Dump:
    """Of one database, restored into an empty one of the same server: no server has to be made for it."""

    made: Cluster
    folder: Path
    directory: bool = False

    @property
    def file(self) -> Path:
        return self.folder / ("dump" if self.directory else "dump.sql.gz")

    async def backup(self) -> int:
        await asyncio.to_thread(self._empty)
        dump = str(self.made.server.engine.program("pg_dump"))
        if self.directory:
            await _run([dump, "-Fd", "-j2", "-f", str(self.file), self.made.url])
        else:
            await _pipe([dump, self.made.url], ["gzip"], self.file, write=True)
        return _size(self.file)

    async def restore(self, check: Check) -> float:
        began = time.perf_counter()
        with self.made.server.session() as session:
            session.execute(f"CREATE DATABASE again OWNER {NAME} TEMPLATE template0")
        url = self.made.url.removesuffix(f"/{NAME}") + "/again"
        program = self.made.server.engine.program
        if self.directory:
            words = [str(program("pg_restore")), "-j2", "--no-owner", "--no-privileges", "--no-comments"]
            await _run([*words, "--schema=public", "-d", url, str(self.file)])
        else:
            await _pipe(["gunzip"], [str(program("psql")), "-X", "-q", "-o", "/dev/null", url], self.file, write=False)
        took = time.perf_counter() - began
        check(self.made.server, "again")
        with self.made.server.session() as session:
            session.execute("DROP DATABASE again")
            session.execute("CHECKPOINT")
        return took

    def _empty(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()


@dataclass
class PgBackRest:
    """Of the distribution, with two processes, started at once like golive's: no waiting for a checkpoint."""

    made: Cluster
    folder: Path
    encrypted: bool

    async def prepare(self) -> None:
        repository = [f"repo1-path={self.folder}/repository", "repo1-retention-full=1"]
        if self.encrypted:
            repository += ["repo1-cipher-type=aes-256-cbc", "repo1-cipher-pass=0123456789abcdef0123456789abcdef"]
        lines = ["[global]", *repository, "process-max=2", "compress-type=zst", "start-fast=y", "log-level-file=off"]
        lines += [f"lock-path={self.folder}/lock", f"spool-path={self.folder}/spool", "log-level-console=warn"]
        lines += ["[bench]", f"pg1-path={self.made.store.data}", f"pg1-port={self.made.server.port}"]
        lines += [f"pg1-socket-path={self.made.server.sockets}", f"pg1-user={self.made.server.superuser}"]
        self.config.write_text("\n".join(lines) + "\n")
        await self._archive()
        await self._run("stanza-create")

    @property
    def config(self) -> Path:
        return self.folder.with_suffix(".conf")

    def _words(self, *words: str) -> list[str]:
        return ["pgbackrest", f"--config={self.config}", "--stanza=bench", *words]

    async def _run(self, *words: str) -> None:
        await _run(self._words(*words), self.made)

    async def _archive(self) -> None:
        """WAL goes to this one's repository from now on."""
        command = " ".join(self._words("archive-push", "%p"))
        with self.made.server.session() as session:
            session.execute(f"ALTER SYSTEM SET archive_command = '{command}'")
            session.execute("SELECT pg_reload_conf()")

    async def backup(self) -> int:
        await self._archive()
        await self._run("backup", "--type=full")
        return _size(self.folder / "repository/backup")

    async def restore(self, check: Check) -> float:
        folder = self.made.folder("peer")
        began = time.perf_counter()
        await self._run("restore", f"--pg1-path={folder}", "--archive-mode=off")
        return await _served(self.made, folder, began, check)


def run(gigabytes: float = 1.5, rounds: int = 1) -> Result:
    return asyncio.run(_run_all(gigabytes, rounds))


async def _run_all(gigabytes: float, rounds: int) -> Result:
    result = Result("backup")
    async with cluster(archive_mode="on", archive_command="/bin/true") as made:
        size = await _filled(made, gigabytes)
        wanted = query(made.server, CONTENTS)

        def check(server: Server, database: str) -> None:
            found = query(server, CONTENTS, database)
            if found != wanted:
                raise CommandFailedError(f"what was restored is not what was backed up:\n{wanted}\n{found}")

        ways, absent = await _ways(made)
        measured = {name: Measured() for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                await _measure(name, way, measured[name], check)
    _report(result, measured, size, absent)
    return result


async def _filled(made: Cluster, gigabytes: float) -> int:
    scale = max(1, round(gigabytes * GB / SCALE))
    pgbench = str(made.server.engine.program("pgbench"))
    await _run([pgbench, "-i", "-q", "-s", str(scale), made.url])
    # Rows that were changed since they were loaded, as in any database that is used.
    await _run([pgbench, "-n", "-c", "4", "-j", "2", "-t", "2000", made.url])
    with made.server.session(NAME) as session:
        session.execute("VACUUM ANALYZE")
        session.execute("CHECKPOINT")
    return int(query(made.server, "SELECT sum(pg_database_size(oid))::bigint FROM pg_database")[0][0])


async def _ways(made: Cluster) -> tuple[dict[str, Way], str]:
    """What can be measured here, and why the rest cannot."""
    root = made.home.root
    ways: dict[str, Way] = {
        HAND: Dump(made, root / "hand"),
        "pg_dump -Fd -j2, pg_restore -j2": Dump(made, root / "directory", directory=True),
    }
    absent = _pgbackrest_missing()
    if not absent:
        _let_in(made)
        for name, encrypted in ((PEER, False), (SEALED, True)):
            way = PgBackRest(made, made.folder("sealed" if encrypted else "plain"), encrypted)
            await way.prepare()
            ways[name] = way
    return ways | {GOLIVE: Golive(made)}, absent


def _pgbackrest_missing() -> str:
    if find("pgbackrest") is None and os.geteuid() == 0 and find("apt-get"):
        argv = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "pgbackrest"]
        subprocess.run(argv, capture_output=True, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    return "" if find("pgbackrest") else "pgBackRest is not installed (apt-get install pgbackrest)"


def _let_in(made: Cluster) -> None:
    """pgBackRest works as the engine's user, whom golive gives replication and no more."""
    if made.user is None:
        return
    with (made.store.folder / "pg_ident.conf").open("a") as file:
        file.write(f'golive "{made.user.name}" {made.server.superuser}\n')
    with made.server.session() as session:
        session.execute("SELECT pg_reload_conf()")


async def _measure(name: str, way: Way, measured: Measured, check: Check) -> None:
    await asyncio.to_thread(os.sync)  # what the one before wrote or deleted is no longer under way
    began = time.perf_counter()
    measured.size = await way.backup()
    measured.backups.append(time.perf_counter() - began)
    await asyncio.to_thread(os.sync)
    measured.restores.append(await way.restore(check))
    done = f"backup {measured.backups[-1]:.1f} s, {human_size(measured.size)}; restore {measured.restores[-1]:.1f} s"
    print(f"  {name}: {done}", file=sys.stderr, flush=True)


async def _served(made: Cluster, folder: Path, began: float, check: Check) -> float:
    settings = {"archive_mode": "off", "archive_command": ""}
    async with made.serving(folder, settings) as server:
        took = time.perf_counter() - began
        while query(server, "SELECT pg_is_in_recovery()") != [(False,)]:
            await asyncio.sleep(0.02)
            took = time.perf_counter() - began
        check(server, NAME)
    await asyncio.to_thread(shutil.rmtree, folder)
    return took


def _report(result: Result, measured: dict[str, Measured], size: int, absent: str) -> None:
    columns = ("", "backup", "size", "restore until it answers", "of golive's")
    table = Table(f"a database of {human_size(size)}", columns)
    golive = measured[GOLIVE]
    for name, one in measured.items():
        ratio = f"{one.restore / golive.restore:.2f} ×"
        table.rows.append((name, f"{one.backup:.1f} s", human_size(one.size), f"{one.restore:.1f} s", ratio))
        result.details[name] = {"backup": one.backups, "restore": one.restores, "bytes": one.size}
    how = f"the best of {len(golive.restores)} rounds; each restore was compared with the source: all rows, by hash"
    table.note = absent or how
    result.tables.append(table)
    times = measured[HAND].restore / golive.restore
    result.bars.append(Bar("restore: faster than by hand, times", times, 4, at_least=True))
    for name in (PEER, SEALED):
        if name in measured:
            result.bars.append(Bar(f"restore: golive's time of {name}", golive.restore / measured[name].restore, 1.2))


async def _run(argv: list[str], made: Cluster | None = None) -> None:
    """As the engine's user where `made` says whose."""
    user = made.user if made else None
    done = await asyncio.to_thread(
        subprocess.run,
        argv,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    if done.returncode:
        said = (done.stderr + done.stdout)[-3000:]
        raise CommandFailedError(f"{' '.join(argv)} ended with {done.returncode}:\n{said}")


async def _pipe(first: list[str], second: list[str], file: Path, *, write: bool) -> None:
    """`first | second > file`, or `first < file | second`: the shell's words without a shell."""

    def work() -> None:
        with file.open("wb" if write else "rb") as opened:
            one = subprocess.Popen(first, stdin=None if write else opened, stdout=subprocess.PIPE)
            done = subprocess.run(
                second, stdin=one.stdout, stdout=opened if write else subprocess.DEVNULL, stderr=subprocess.PIPE,
                check=False,
            )  # fmt: skip
            assert one.stdout
            one.stdout.close()
            if one.wait() or done.returncode:
                raise CommandFailedError(f"{first[0]} | {second[0]} failed:\n{done.stderr.decode()[-3000:]}")

    await asyncio.to_thread(work)


def _size(path: Path) -> int:
    found = [path] if path.is_file() else path.rglob("*")
    return sum(one.stat().st_size for one in found if one.is_file() and not one.is_symlink())
