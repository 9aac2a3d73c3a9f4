"""Secrets are planted, an app lives through success and failure, and then everything golive wrote is searched."""

from __future__ import annotations

import base64
import os
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
)


def test_no_secret_is_anywhere_but_where_it_belongs(own_home: Golive, make_app: MakeApp) -> None:
    app = make_app(own_home, extra=EXTRA, requirements=REQUIREMENTS + "psycopg[binary]==3.2.9\n")
    app.write("migrations/0001_first.sql", "CREATE TABLE first (n bigint);\n")
    app.change(store="postgres")
    app.up().failed(2)
    app.command("env", "set", "API_KEY", input=CANARY).ok()
    app.up().ok()
    secrets = planted(app)
    own_home.said.clear()

    sent = {"authorization": f"Bearer {CANARY}".encode(), "cookie": f"session={quote(CANARY)}".encode()}
    app.request("GET", "/", headers=sent)
    assert app.get("/write?n=1").status_code == 200
    failures(app)
    app.command("rollback", "1").ok()
    app.golive("daemon", "restart").ok()
    for read in READS:
        app.command(*read).ok()
    for words in (("audit", "--json"), ("daemon", "status", "--json"), ("status", "--all", "--json")):
        own_home(*words).ok()
    for words in (("plan", app.folder, "--json"), ("config", app.folder, "--json")):
        own_home(*words).ok()

    own = b"".join(file.read_bytes() for file in own_home.home.logs(app.name, "production").glob("api.*.log"))
    assert {"API_KEY", "DATABASE_URL"} <= set(contains(own, secrets)), "the search finds what the app itself has said"
    found = in_what_was_said(own_home, secrets) + in_files(own_home, secrets) + in_processes(own_home, secrets)
    assert not found, "\n".join(found)


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


def in_processes(golive: Golive, secrets: dict[str, str]) -> list[str]:
    """Arguments of every process of the machine; environments of golive's own and of what it runs but the app."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
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
