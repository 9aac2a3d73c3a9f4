"""Makes golive's Python environment in `.venv`: standard library only, run by any Python 3.11 or newer.

    scripts/bootstrap.py          what ./golive needs (requirements/run.txt)
    scripts/bootstrap.py --dev    what the tests and checks need too (requirements/dev.txt)

Every package is checked against the hashes in the requirements file. A run that was interrupted leaves
`golive-unfinished` behind, and the next one starts over; `golive-stamp` is written last. golive itself is put on the
path by a .pth file: nothing is built, so nothing more is downloaded.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "golive-stamp"
UNFINISHED = VENV / "golive-unfinished"
PYTHON = VENV / "bin/python"


class UnmetNeedError(Exception):
    """What happened and, in `hint`, what mends it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def main() -> int:
    dev = "--dev" in sys.argv[1:]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles nothing where it is set
    # Two first runs at once: the second waits here, then finds the work done.
    with (ROOT / "requirements/run.txt").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = stamp_lines(dev)
        if current(wanted):
            return 0
        started = time.monotonic()
        say(f"golive: making the Python environment in {VENV} (once, about a minute) … ", end="")
        try:
            install(ROOT / "requirements" / ("dev.txt" if dev else "run.txt"))
        except UnmetNeedError as error:
            say(f"\ngolive: {error}\n  hint: {error.hint}")
            return 1
        except OSError as error:
            say(f"\ngolive: the environment could not be made: {error}\n  hint: mend that, then run it again")
            return 1
        except KeyboardInterrupt:
            say("stopped; the next run starts it again")
            return 130
        STAMP.write_text("\n".join(wanted) + "\n")
        UNFINISHED.unlink(missing_ok=True)
        say(f"done in {time.monotonic() - started:.0f} s")
    return 0


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


def stamp_lines(dev: bool) -> list[str]:
    """The first line is what ./golive compares: checksum, size and the checkout's place (a moved one is made anew)."""
    lines = [f"{cksum(ROOT / 'requirements/run.txt')} {ROOT}"]
    return [*lines, f"dev {cksum(ROOT / 'requirements/dev.txt')}"] if dev else lines


def cksum(path: Path) -> str:
    with path.open("rb") as file:
        return subprocess.run(["cksum"], stdin=file, capture_output=True, text=True, check=True).stdout.strip()


def current(wanted: list[str]) -> bool:
    try:
        return os.access(PYTHON, os.X_OK) and STAMP.read_text().splitlines()[: len(wanted)] == wanted
    except OSError:
        return False


def install(requirements: Path) -> None:
    if not usable():
        make_venv()
    UNFINISHED.touch()
    STAMP.unlink(missing_ok=True)
    arguments = ["install", "--quiet", "--no-deps", "--require-hashes", "--disable-pip-version-check"]
    attempt(
        [*pip(), *arguments, "--requirement", str(requirements)],
        "the packages could not be installed",
        "is the package index reachable? pip's own settings (proxy, index, certificates) are used; then run it again",
    )
    site = output([str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    (Path(site) / "golive.pth").write_text(f"{ROOT / 'src'}\n")
    # As pip does with a wheel. The daemon would otherwise compile what it imports, and keep the memory that took.
    subprocess.run([str(PYTHON), "-m", "compileall", "-q", "-j", "0", str(ROOT / "src")], check=False)


def usable() -> bool:
    """Whether packages can be added to the environment that is there; a half-made or moved one is made anew."""
    if UNFINISHED.exists() or not (VENV / "pyvenv.cfg").exists():
        return False
    if STAMP.exists() and not STAMP.read_text().partition("\n")[0].endswith(f" {ROOT}"):
        return False
    return output([str(PYTHON), "-c", "import sys; print(sys.version_info >= (3, 11))"]) == "True"


def make_venv() -> None:
    """Debian's python3 has venv but not ensurepip (python3-venv brings it); pip comes from outside then."""
    if not has("ensurepip") and outside_pip() is None:
        add_python_venv()
    options = [] if has("ensurepip") else ["--without-pip"]
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    UNFINISHED.touch()
    command = [interpreter(), "-m", "venv", *options, str(VENV)]
    attempt(command, "the environment could not be made", f"is {VENV} on a full or read-only disk?")


def interpreter() -> str:
    """/usr/bin/python3.11 rather than /usr/bin/python3: after a system upgrade the link dangles, which is noticed."""
    base = Path(getattr(sys, "_base_executable", sys.executable))
    versioned = base.with_name(f"python{sys.version_info[0]}.{sys.version_info[1]}")
    return str(versioned if versioned.exists() else base)


def has(module: str) -> bool:
    return succeeds([interpreter(), "-c", f"import {module}"])


def pip() -> list[str]:
    if succeeds([str(PYTHON), "-m", "pip", "--version"]):
        return [str(PYTHON), "-m", "pip"]
    if has("ensurepip"):
        attempt([str(PYTHON), "-m", "ensurepip"], "pip could not be added", f"remove {VENV}, then run it again")
        return [str(PYTHON), "-m", "pip"]
    outside = outside_pip()
    if outside is None:
        add_python_venv()
        return pip()
    return [*outside, "--python", str(PYTHON)]


def outside_pip() -> list[str] | None:
    """A pip that is not in the environment and knows --python (22.3 or newer)."""
    choices = [[interpreter(), "-m", "pip"]]
    choices += [[found] for name in ("pip3", "pip") if (found := shutil.which(name))]
    for choice in choices:
        if succeeds([*choice, "--python", interpreter(), "--version"]):
            return choice
    return None


def add_python_venv() -> None:
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    by_hand = f"apt-get install -y {package}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UnmetNeedError(
            f"{interpreter()} has neither pip nor ensurepip, so nothing can be installed with it.",
            f"sudo {by_hand}" if shutil.which("apt-get") else "install pip for it, or set GOLIVE_PYTHON to another",
        )
    say(f"installing Debian's {package} … ", end="")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    command = ["apt-get", "install", "-y", "--no-install-recommends", package]
    if not succeeds(command):  # a fresh machine has no package lists yet
        attempt(["apt-get", "update"], "Debian's package lists could not be read", f"apt-get update && {by_hand}")
        attempt(command, f"{package} could not be installed", f"apt-get update && {by_hand}")
    if not has("ensurepip"):
        raise UnmetNeedError(f"{interpreter()} has no ensurepip even with {package}.", "set GOLIVE_PYTHON to another")


def succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def output(command: list[str]) -> str:
    """What a command prints; nothing when it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def attempt(command: list[str], failure: str, hint: str) -> None:
    """Runs a tool quietly; when it fails, what it said last is shown and all of it kept."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode == 0:
        return
    with tempfile.NamedTemporaryFile("w", prefix="golive-setup-", suffix=".log", delete=False) as log:
        log.write(done.stdout)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    raise UnmetNeedError("\n    ".join([f"{failure}:", *lines[-5:], f"(all of it: {log.name})"]), hint)


if __name__ == "__main__":
    sys.exit(main())
