"""Where everything lives: the layout under $GOLIVE_HOME, in one place.

state.db  key                     SQLite state; the encryption key (0600), perhaps sealed by a passphrase
key.next                          while the key is being changed
machine                           a number of this home's own, which no backup carries
bundles.json                      when this host was last written beside its backups, and where
recovering.json                   while `golive recover` has not ended
standby.json                      of a standby: what it follows, with what opens it (0600)
followed                          a standby follows this host
fenced.json                       another machine serves in the place of this one
run/                              sockets (moved to a short path when $GOLIVE_HOME is too long for one)
daemon.log
edge/                             Envoy's bootstrap, resource files, certificates, access log
ca/                               the local certificate authority
certificates/                     those of other authorities, and accounts there (0600)
backup-keys/                      what backups are sealed with (0600); not in `backups`
backups/                          backups that are told no other place
engines/<name>/<version>/         fetched engines
cache/                            uv and other build caches
layers/<key>/                     dependency layers (a venv), shared by artifacts
artifacts/<key>/                  content-addressed artifacts
builds/<deployment>/              build logs
apps/<app>/<environment>/
    logs/<service>.<n>.log        output of instances
    resources/<name>/             PostgreSQL and Redis data
    received/<name>/              writes on their way into the backups
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from golive.errors import StateError

MAX_SOCKET_PATH = 100
"""Bytes; sun_path holds 108 on Linux and 104 on macOS, with the terminating zero."""
_OWN = frozenset((
    "state.db", "key", "daemon.lock", "daemon.log", "recovering.json", "standby.json", "ca", "edge", "engines",
    "layers", "artifacts", "backup-keys",
))  # fmt: skip
"""Any of these says that a folder is golive's; `run` and `cache` are in others too, and alone are no matter."""


@dataclass(frozen=True)
class Home:
    """Paths under one $GOLIVE_HOME. Nothing here touches the disk; `require_own` looks."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """$GOLIVE_HOME, else /var/lib/golive for root, else ~/.local/share/golive."""
        if value := os.environ.get("GOLIVE_HOME"):
            return cls(Path(value).expanduser().absolute())
        if os.geteuid() == 0:
            return cls(Path("/var/lib/golive"))
        return cls(Path.home() / ".local/share/golive")

    def require_own(self) -> None:
        """StateError where somebody else keeps something at the root and nothing is golive's, which would close it."""
        try:
            there = sorted(entry.name for entry in self.root.iterdir())
        except OSError:
            return
        names = [name for name in there if not name.startswith(".") and name not in ("run", "cache", "lost+found")]
        if names and not _OWN.intersection(there):
            raise StateError(
                f"GOLIVE_HOME {self.root} is not golive's: it has {', '.join(names[:3])}{' …' if names[3:] else ''}",
                why="golive would close the folder to everybody else",
                hint="set GOLIVE_HOME to an empty folder, or to one that does not exist yet",
            )

    @property
    def state(self) -> Path:
        return self.root / "state.db"

    @property
    def key(self) -> Path:
        return self.root / "key"

    @property
    def machine(self) -> Path:
        return self.root / "machine"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles.json"

    @property
    def recovering(self) -> Path:
        return self.root / "recovering.json"

    @property
    def standby(self) -> Path:
        return self.root / "standby.json"

    @property
    def followed(self) -> Path:
        return self.root / "followed"

    @property
    def fenced(self) -> Path:
        return self.root / "fenced.json"

    @property
    def daemon_log(self) -> Path:
        return self.root / "daemon.log"

    @property
    def edge(self) -> Path:
        return self.root / "edge"

    @property
    def geoip(self) -> Path:
        """The user's GeoIP database."""
        return self.root / "geoip.mmdb"

    @property
    def ca(self) -> Path:
        return self.root / "ca"

    @property
    def certificates(self) -> Path:
        return self.root / "certificates"

    @property
    def backup_keys(self) -> Path:
        return self.root / "backup-keys"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def engines(self) -> Path:
        return self.root / "engines"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def layers(self) -> Path:
        return self.root / "layers"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def builds(self) -> Path:
        return self.root / "builds"

    @property
    def run(self) -> Path:
        """The directory for sockets; short enough for a Unix socket whatever $GOLIVE_HOME is.

        The same for every command, so neither $TMPDIR nor $XDG_RUNTIME_DIR has a say: cron has none, and the latter
        goes away when its user logs out.
        """
        near = self.root / "run"
        if len(bytes(near)) + 40 <= MAX_SOCKET_PATH:
            return near
        digest = hashlib.sha256(bytes(self.root)).hexdigest()[:12]
        return Path("/tmp") / f"golive-{os.geteuid()}-{digest}"  # noqa: S108 - made 0700, and its owner is checked

    @property
    def socket(self) -> Path:
        return self.run / "golive.sock"

    def app(self, app: str, environment: str) -> Path:
        return self.root / "apps" / app / environment.replace("/", "~")

    def logs(self, app: str, environment: str) -> Path:
        return self.app(app, environment) / "logs"

    def resource(self, app: str, environment: str, name: str) -> Path:
        return self.app(app, environment) / "resources" / name

    def received(self, app: str, environment: str, name: str) -> Path:
        return self.app(app, environment) / "received" / name
