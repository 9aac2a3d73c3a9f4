"""Secrets are planted, an app lives through success and failure, and then everything golive wrote is searched."""

from __future__ import annotations

import base64
import contextlib
import os
import stat
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from e2e_apps import REQUIREMENTS, MakeApp
from e2e_harness import App, Golive, environ

CANARY = "canary/9f&7=tweet+é:%@wing"
EXTRA = """
[env.API_KEY]
type = "secret"

[env.SESSION_KEY]
type = "secret"
generate = true

[resources.db]
engine = "postgres"

[resources.cache]
engine = "redis"

[migrations]
tool = "sql"
source = "migrations"
resource = "db"
"""
READS = (
    ("status", "--json"),
    ("releases", "--json"),
    ("env", "ls", "--json"),
    ("env", "ls"),
    ("logs", "--json"),
    ("logs", "db", "--json"),
    ("logs", "--edge", "--json"),
    ("backup", "list", "--json"),
    ("env", "diff", "production", "development", "--json"),
)
OPEN = {
    "run/edge/static.sock": 0o666,
    "edge/ports.json": 0o644,
    "ca/root.crt": 0o644,
}
"""What others than its owner and its group may use: the first in a folder that only Envoy's user may enter."""


def test_no_secret_is_anywhere_but_where_it_belongs(own_home: Golive, make_app: MakeApp) -> None:
    app = make_app(own_home, extra=EXTRA, requirements=REQUIREMENTS + "psycopg[binary]==3.2.9\n")
    app.write("migrations/0001_first.sql", "CREATE TABLE first (n bigint);\n")
    app.change(store="postgres")
    app.up().failed(2)
    app.command("env", "set", "API_KEY", input=CANARY).ok()
    app.up().ok()
    secrets = planted(app)
    own_home.said.clear()

    with watched(own_home, secrets) as seen:
        use(app)
    own = b"".join(file.read_bytes() for file in own_home.home.logs(app.name, "production").glob("api.*.log"))
    assert {"API_KEY", "DATABASE_URL"} <= set(contains(own, secrets)), "the search finds what the app itself has said"
    found = in_what_was_said(own_home, secrets) + in_files(own_home, secrets) + in_processes(own_home, secrets)
    assert not found, "\n".join(found)
    assert seen.rounds > 20
    assert not seen.found, "\n".join(seen.found)
    assert open_to_others(own_home) == {}


def use(app: App) -> None:
    """All that may go wrong with them, and every command that tells of them."""
    golive = app.golive
    sent = {"authorization": f"Bearer {CANARY}".encode(), "cookie": f"session={quote(CANARY)}".encode()}
    app.request("GET", f"/?token={quote(CANARY)}", headers=sent)
    assert app.get("/write?n=1").status_code == 200
    failures(app)
    app.command("rollback", "1").ok()
    app.golive("daemon", "restart").ok()
    for read in READS:
        app.command(*read).ok()
    for words in (("audit", "--json"), ("daemon", "status", "--json"), ("status", "--all", "--json")):
        golive(*words).ok()
    for words in (("vault", "rotate", "--json"), ("recover", "--runbook", "--json")):
        golive(*words).ok()
    for words in (("plan", app.folder, "--json"), ("config", app.folder, "--json")):
        golive(*words).ok()
    reports = [app.folder / f"report.{kind}" for kind in ("html", "junit", "sarif")]
    options = [f"--{file.suffix[1:]}={file}" for file in reports]
    golive("check", "-C", app.folder, "--only", "secrets", "--only", "environment", "--all", *options)
    assert "SESSION_KEY" in reports[0].read_text()
    golive.said += [file.read_text() for file in reports]  # looked through with the rest
    url = f"https://{app.domain}:{golive.https_port}/"
    golive("debug", "request", url, "-H", "Authorization", "--json", input=CANARY).failed(2)  # not of ASCII


@dataclass
class Seen:
    rounds: int = 0
    found: set[str] = field(default_factory=set)


@contextlib.contextmanager
def watched(golive: Golive, secrets: dict[str, str]) -> Iterator[Seen]:
    """Processes that begin meanwhile, each looked at a few times: most of golive's live for a moment, and each is a
    copy of another one before it is itself."""
    seen, over = Seen(), threading.Event()
    looks: Counter[str] = Counter(dict.fromkeys(running(), 5))

    def look() -> None:
        while not over.wait(0.05):
            new = [pid for pid in running() if looks[pid] < 5]
            looks.update(new)
            seen.found.update(in_processes(golive, secrets, new))
            seen.rounds += 1

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def open_to_others(golive: Golive) -> dict[str, str]:
    """Files that somebody else than owner and group may read or write, and folders that he may list: path → mode."""
    found = {}
    for folder, folders, names in os.walk(golive.root):
        place = Path(folder).relative_to(golive.root)
        if place == Path():
            folders[:] = [name for name in folders if name not in ("layers", "engines", "cache", "artifacts")]
        for name in (*folders, *names):
            mode = (Path(folder) / name).lstat()
            path = str(place / name)
            if not stat.S_ISLNK(mode.st_mode) and mode.st_mode & 0o006 and OPEN.get(path) != mode.st_mode & 0o777:
                found[path] = oct(mode.st_mode & 0o7777)
    assert (golive.root / "run/edge").stat().st_mode & 0o007 == 0
    return found


def planted(app: App) -> dict[str, str]:
    """Name → value of every secret that the app was given."""
    names = ("API_KEY", "SESSION_KEY", "DATABASE_URL", "REDIS_URL")
    values = {name: app.command("run", "--", "printenv", name).ok().out.removesuffix("\n") for name in names}
    assert values["API_KEY"] == CANARY
    for name in ("DATABASE_URL", "REDIS_URL"):
        password = urlsplit(values[name]).password
        assert password
        values[f"the password in {name}"] = password
    return values


def failures(app: App) -> None:
    """A release that tells all it knows and exits, a migration and a build that fail, a value of the wrong type."""
    app.change(version="2", fail="tell")
    told = app.up().failed()
    assert "API_KEY is" in told.err, "its last lines are shown"
    app.change(version="3", fail=None)

    app.write("migrations/0002_wrong.sql", "SELECT password FROM nowhere;\n")
    app.up().failed()
    (app.folder / "migrations/0002_wrong.sql").unlink()

    text = (app.folder / "golive.toml").read_text()
    app.write("golive.toml", text + '\n[services.api.build]\ncommand = "env; cat /proc/self/environ; exit 1"\n')
    assert "exited with 1" in app.up().failed().err
    app.write("golive.toml", text + '\n[env.WHERE]\ntype = "url"\n')
    app.command("env", "set", "WHERE", input=f"not a url {CANARY}").ok()
    app.up().failed(2)
    app.command("env", "unset", "WHERE").ok()
    app.write("golive.toml", text)
    app.up().ok()


def forms(value: str) -> set[bytes]:
    encoded = base64.b64encode(value.encode()).decode().rstrip("=")
    return {form.encode() for form in (value, quote(value, safe=""), quote(value), encoded)}


def contains(data: bytes, secrets: dict[str, str]) -> list[str]:
    return [name for name, value in secrets.items() if any(form in data for form in forms(value))]


def in_what_was_said(golive: Golive, secrets: dict[str, str]) -> list[str]:
    return [f"{name} was printed: {text[:300]}" for text in golive.said for name in contains(text.encode(), secrets)]


def in_files(golive: Golive, secrets: dict[str, str]) -> list[str]:
    """All files but what an app's own process wrote (its output, as it is) and the databases' own."""
    found = []
    for folder, _, names in os.walk(golive.root):
        for name in names:
            file = Path(folder) / name
            if not file.is_file() or file.is_symlink() or _is_theirs(file.relative_to(golive.root)):
                continue
            found += [f"{secret} is in {file}" for secret in contains(file.read_bytes(), secrets)]
    assert (golive.root / "daemon.log").stat().st_size > 0
    return found


def _is_theirs(path: Path) -> bool:
    parts = path.parts
    if parts[0] in ("layers", "engines", "cache"):
        return True
    return parts[0] == "apps" and (parts[3] == "logs" or "data" in parts[5:])


def running() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - ten times as quick


def in_processes(golive: Golive, secrets: dict[str, str], pids: Iterable[str] | None = None) -> list[str]:
    """Arguments of every process of the machine; environments of golive's own and of what it runs but the app."""
    found = []
    for entry in (Path("/proc", pid) for pid in (running() if pids is None else pids)):
        if int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        found += [f"{name} is in the arguments of {line[:80]!r}" for name in contains(line, secrets)]
        has = environ(entry)
        ours = str(golive.root).encode() in has + line
        if ours and b"GOLIVE_SERVICE=" not in has:
            found += [f"{name} is in the environment of {line[:80]!r}" for name in contains(has, secrets)]
    return found
