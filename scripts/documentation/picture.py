"""A terminal session as an SVG: the command is really run, on a pseudo-terminal, and what it wrote is drawn."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

import psutil
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS, LINES = 84, 50
FOREGROUND, BACKGROUND = (214, 222, 235), (22, 27, 34)
DARK = [
    (48, 54, 61),
    (255, 123, 114),
    (126, 231, 135),
    (227, 179, 65),
    (121, 192, 255),
    (210, 168, 255),
    (86, 212, 221),
]
BRIGHT = [(110, 118, 129), (255, 161, 152), *DARK[2:]]
THEME = TerminalTheme(BACKGROUND, FOREGROUND, [*DARK, FOREGROUND], [*BRIGHT, (255, 255, 255)])


def of_up(root: Path, home: Path | None) -> str:
    """Deploys examples/threadr from a copy; the daemon, the edge and the app are ended afterwards."""
    with _home(home) as place:
        env = {**os.environ, "GOLIVE_HOME": str(place), "TERM": "xterm-256color"}
        env.pop("NO_COLOR", None)
        golive = str(root / "golive")
        try:
            said = session([golive, "up", "examples/threadr"], root, env)
        finally:
            subprocess.run([golive, "destroy", "--app", "threadr", "--yes", "threadr"], env=env, check=False)
            subprocess.run([golive, "daemon", "stop"], env=env, check=False)
            end_all(place)
    return draw("$ ./golive up examples/threadr\n" + said)


@contextlib.contextmanager
def _home(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.absolute()
        return
    place = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    place.chmod(0o711)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def session(argv: list[str], cwd: Path, env: dict[str, str]) -> str:
    """What a command leaves on a terminal of COLUMNS; lines written over are as they were at last."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(argv, cwd=cwd, env=env, stdin=child, stdout=child, stderr=child)
    os.close(child)
    data = bytearray()
    with contextlib.suppress(OSError):  # Linux says EIO when the last writer has gone
        while block := os.read(parent, 65536):
            data += block
    os.close(parent)
    if process.wait():
        raise SystemExit(f"{' '.join(argv)} exited with {process.returncode}:\n{data.decode(errors='replace')}")
    lines = data.decode().replace("\r\n", "\n").split("\n")
    return "\n".join(line.rpartition("\r\x1b[K")[2] for line in lines)


def draw(ansi: str) -> str:
    """Without fonts from elsewhere: a picture inside a page may not load any."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(ansi.strip("\n")), soft_wrap=True)
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("Fira Code, monospace", "ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono, monospace")
    return console.export_svg(title="golive", theme=THEME, code_format=form, unique_id="golive")


def end_all(home: Path) -> None:
    """Every process whose command line names this GOLIVE_HOME: the edge and the static server outlive the daemon."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(home) in word for word in process.info["cmdline"] or []) and process.pid != os.getpid():
            with contextlib.suppress(psutil.Error):
                process.kill()
