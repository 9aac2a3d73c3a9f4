"""golive service: start the daemon with the machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click

from golive.cli import output
from golive.errors import GoliveError
from golive.home import Home

LABEL = "dev.golive.daemon"


def systemd_unit(home: Path, argv: list[str], *, system: bool) -> str:
    """The unit's text. KillMode=process: stopping the daemon must not stop what it started.

    Restart=on-failure: after `golive daemon stop`, which ends it with 0, it stays stopped.
    """
    online = "After=network-online.target\nWants=network-online.target\n" if system else ""
    target = "multi-user.target" if system else "default.target"
    command = " ".join(_quoted(word).replace("$", "$$") for word in argv)
    return f"""[Unit]
Description=golive daemon
{online}
[Service]
Type=exec
ExecStart={command}
Environment={_quoted(f"GOLIVE_HOME={home}")}
KillMode=process
Restart=on-failure
RestartSec=1
Delegate=yes
LimitNOFILE=65536

[Install]
WantedBy={target}
"""


def _quoted(word: str) -> str:
    """As systemd reads it: `%` begins a specifier everywhere; `$` a variable in ExecStart only."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if re.fullmatch(r"[\w./=@:+,-]+", word) else f'"{escaped}"'


def launchd_plist(home: Path, argv: list[str]) -> bytes:
    import plistlib

    log = str(home / "daemon.log")
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": argv,
            "EnvironmentVariables": {"GOLIVE_HOME": str(home)},
            "RunAtLoad": True,
            "KeepAlive": True,
            "AbandonProcessGroup": True,
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
    )


def _argv() -> list[str]:
    from golive.daemon.client import COMMAND

    return list(COMMAND)


def _file(*, system: bool) -> Path:
    if sys.platform == "darwin":
        base = Path("/Library/LaunchDaemons") if system else Path.home() / "Library/LaunchAgents"
        return base / f"{LABEL}.plist"
    base = Path("/etc/systemd/system") if system else Path.home() / ".config/systemd/user"
    return base / "golive.service"


@click.group()
def service() -> None:
    """Start the daemon with the machine: a systemd unit, on macOS a launchd job.

    \b
    Examples:
      golive service print
      sudo golive service install
    """


@service.command(name="print")
def print_() -> int:
    """The unit file, without installing it."""
    home = Home.default().root
    if sys.platform == "darwin":
        sys.stdout.write(launchd_plist(home, _argv()).decode())
    else:
        sys.stdout.write(systemd_unit(home, _argv(), system=os.geteuid() == 0))
    return 0


@service.command()
def install() -> int:
    """Write the unit and enable it: a system unit for root, else the user's own."""
    system, home = os.geteuid() == 0, Home.default().root
    path = _file(system=system)
    data = (
        launchd_plist(home, _argv())
        if sys.platform == "darwin"
        else systemd_unit(home, _argv(), system=system).encode()
    )
    if path.exists() and path.read_bytes() == data:
        output.say(f"nothing to do: {path} is in place")
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    output.say(f"wrote {path}")
    return _enable(path, system=system)


def _enable(path: Path, *, system: bool) -> int:
    if sys.platform == "darwin":
        return _call(["launchctl", "load", "-w", str(path)])
    if not shutil.which("systemctl") or not Path("/run/systemd/system").is_dir():
        output.say("systemd does not run here; the unit takes effect on a machine where it does")
        return 0
    prefix = ["systemctl"] if system else ["systemctl", "--user"]
    _call([*prefix, "daemon-reload"])
    code = _call([*prefix, "enable", "--now", "golive.service"])
    if not system:
        output.say(f"to start it before you log in: sudo loginctl enable-linger {os.environ.get('USER', '$USER')}")
    return code


def _call(argv: list[str]) -> int:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GoliveError(f"{' '.join(argv)} failed", why=(done.stderr or done.stdout).strip() or None)
    return 0


@service.command()
def uninstall() -> int:
    """Disable and remove the unit. What runs goes on."""
    system = os.geteuid() == 0
    path = _file(system=system)
    if not path.exists():
        output.say("nothing to do: it is not installed")
        return 0
    if sys.platform == "darwin":
        _call(["launchctl", "unload", "-w", str(path)])
    elif shutil.which("systemctl") and Path("/run/systemd/system").is_dir():
        _call([*(["systemctl"] if system else ["systemctl", "--user"]), "disable", "golive.service"])
    path.unlink()
    output.say(f"removed {path}")
    return 0
