"""A PostgreSQL server as backups see it: its programs, its socket, the two roles that read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golive.engines.engine import Engine
from golive.errors import BackupFailed, BackupUntried
from golive.system.users import User

if TYPE_CHECKING:
    from psycopg import Connection

NO_FILE = "/dev/null/none"


@dataclass(frozen=True)
class Server:
    """`superuser` connects as the user golive runs as, `replicator` as `user`, who runs the engine (None: the same).

    `label` names it in messages, `app/environment/resource`.
    """

    label: str
    engine: Engine
    sockets: Path
    port: int
    user: User | None
    superuser: str
    replicator: str

    def environment(self) -> dict[str, str]:
        return environment(self.engine)

    def client(self, program: str, *arguments: str) -> tuple[str, ...]:
        """One of the engine's programs, told to connect as the replicator."""
        target = ("--host", str(self.sockets), "--port", str(self.port), "--username", self.replicator, "--no-password")
        return (str(self.engine.program(program)), *target, *arguments)

    @contextmanager
    def session(self, database: str = "postgres") -> Iterator[Connection[Any]]:
        """As the superuser. BackupFailed when it does not let us in or refuses a statement."""
        import psycopg

        try:
            with connect(self.sockets, self.port, self.superuser, database) as connection:
                yield connection
        except psycopg.Error as error:
            full = isinstance(error, psycopg.errors.DiskFull)
            raise (BackupUntried if full else BackupFailed)(
                f"{self.label}: PostgreSQL refused",
                where=f"{self.sockets}, port {self.port}",
                why="the disk is full" if full else str(error).strip().splitlines()[-1],
                hint=f"{'free some disk space' if full else 'look whether it runs (golive status)'}; backups made "
                "before stand as they were",
            ) from error


def connect(sockets: Path, port: int, user: str, database: str) -> Connection[Any]:
    """Stated in full: PG* variables of this process must not lead elsewhere."""
    import psycopg

    return psycopg.connect(
        host=str(sockets), port=port, user=user, dbname=database, autocommit=True, connect_timeout=5,
        application_name="golive", sslmode="disable", gssencmode="disable", client_encoding="utf8", passfile=NO_FILE,
        options="",
    )  # fmt: skip


def environment(engine: Engine) -> dict[str, str]:
    # No password file and no service file of whoever runs golive.
    return {"PATH": f"{engine.bin}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGPASSFILE": NO_FILE, **engine.env}


def reason(output: str) -> str:
    """The line that says why, of what a PostgreSQL program printed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line for line in lines if "error:" in line or "FATAL:" in line or "PANIC:" in line]
    return (marked or lines or ["it said nothing"])[-1]
