"""golive vault through the real command, and a rotation killed at every step."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from golive.daemon.client import Client, Unreachable, wait_gone
from golive.errors import UsageError
from golive.home import Home
from golive.secret import Secret
from golive.state.records import Place
from golive.state.store import State

GOLIVE = (sys.executable, "-P", "-m", "golive")
SHOP = Place("shop", "production")
VALUE = "canary-5b1e77-value"
WORDS, OTHER = "correct horse battery staple", "five other words altogether now"


class Command:
    """golive in a home of its own; `said` is everything that any command has printed."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.said = ""

    def __call__(self, *words: str, input: str = "", code: int = 0, **variables: str) -> str:
        env = {**os.environ, "GOLIVE_HOME": str(self.home.root), "NO_COLOR": "1", **variables}
        done = subprocess.run([*GOLIVE, *words], input=input, env=env, capture_output=True, text=True, check=False)
        self.said += done.stdout + done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def at_a_terminal(self, *words: str, typed: str) -> str:
        ours, theirs = pty.openpty()
        env = {**os.environ, "GOLIVE_HOME": str(self.home.root), "NO_COLOR": "1"}
        process = subprocess.Popen(
            [*GOLIVE, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        os.close(theirs)
        said = b""
        deadline = time.monotonic() + 120
        with contextlib.suppress(OSError):  # the other end is closed
            while time.monotonic() < deadline:
                if select.select([ours], [], [], 1)[0]:
                    said += os.read(ours, 4096)
                if b"passphrase of golive's secrets" in said and typed:
                    os.write(ours, typed.encode() + b"\n")
                    typed = ""
        os.close(ours)
        assert process.wait(30) == 0, said
        self.said += said.decode()
        return said.decode()

    def api(self) -> Client:
        return Client(self.home)

    def stop(self) -> None:
        with contextlib.suppress(Unreachable):
            pid = self.api().get("/v1/daemon")["pid"]
            self.api().send("POST", "/v1/daemon/stop")
            wait_gone(pid)

    def value(self) -> str:
        body = {"app": "shop", "environment": "production", "secrets": True}
        found: str = self.api().send("POST", "/v1/env/read", body)["values"]["TOKEN"]
        return found


@pytest.fixture
def golive(golive_home: Home) -> Iterator[Command]:
    command = Command(golive_home)
    yield command
    command.stop()


def test_a_key_is_changed_and_a_passphrase_opens_it(golive: Command, tmp_path: Path) -> None:
    golive("env", "set", "TOKEN", "--app", "shop", input=VALUE)
    first, old = golive.api().get("/v1/vault")["key"], golive.home.key.read_bytes()
    assert f"seals 1 value now; {first} opens nothing any more" in golive("vault", "rotate")
    assert golive.value() == VALUE
    assert golive.home.key.read_bytes() != old

    # A passphrase: what it opens is opened by nothing else.
    assert "too short" in golive("vault", "passphrase", input="short\n", code=2)
    golive("vault", "passphrase", input=WORDS + "\n")
    assert "a passphrase (argon2id, 64 MiB, 3 passes, 4 lanes)" in golive("vault")
    golive.stop()
    told = golive("env", "ls", "--app", "shop", code=1)
    assert "locked" in told
    assert "GOLIVE_PASSPHRASE_FILE" in told

    # Typed at a terminal; in no argument, environment, log or output.
    golive.at_a_terminal("daemon", "start", typed=WORDS)
    assert golive.value() == VALUE
    unseen(golive)
    golive("daemon", "restart", code=1)
    assert golive.value() == VALUE, "it was not ended, since nobody could start it again"

    # Changed while it runs, and taken away.
    golive("vault", "passphrase", input=OTHER)
    files = {words: tmp_path / words[:4] for words in (WORDS, OTHER)}
    for words, file in files.items():
        file.write_text(words + "\n")
    assert "does not open" in golive("daemon", "restart", GOLIVE_PASSPHRASE_FILE=str(files[WORDS]), code=1)
    golive("daemon", "start", GOLIVE_PASSPHRASE_FILE=str(files[OTHER]))
    assert golive.value() == VALUE
    unseen(golive)
    golive("vault", "passphrase", "--remove")
    with pytest.raises(UsageError, match="there is no passphrase"):
        golive.api().send("POST", "/v1/vault", {"work": "file"})
    with pytest.raises(UsageError, match="cannot be a passphrase"):
        golive.api().send("POST", "/v1/vault", {"work": "passphrase", "passphrase": "two\nlines of it"})
    entries = [each["action"] for each in reversed(golive.api().get("/v1/audit")["entries"])]
    assert [each for each in entries if each.startswith("vault")] == [
        "vault.rotate", "vault.passphrase", "vault.passphrase", "vault.passphrase.remove"
    ]  # fmt: skip
    golive.stop()
    new = golive.home.key.read_bytes()
    golive.home.key.write_bytes(old)
    assert "not the one that the state is sealed with" in golive("status", code=1)
    golive.home.key.write_bytes(new)
    golive("daemon", "start")
    assert golive.value() == VALUE
    unseen(golive)


def unseen(golive: Command) -> None:
    texts = {"what was said": golive.said.encode(), "daemon.log": golive.home.daemon_log.read_bytes()}
    for file in (golive.home.key, *golive.home.root.glob("state.db*")):
        texts[file.name] = file.read_bytes()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid():
                texts[f"process {process.pid}"] = f"{process.cmdline()} {process.environ()}".encode()
    words = (WORDS.encode(), OTHER.encode(), VALUE.encode())
    assert not [name for name, text in texts.items() if any(each in text for each in words)]


# Killed

KILLED = """
import os, signal, sys
from pathlib import Path
from golive.state import database, keyfile, rotation
from golive.state.rotation import next_key
from golive.state.store import State

def killing(owner, name):
    real = getattr(owner, name)
    def step(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(owner, name, step)

for place, (folder, steps) in enumerate(zip(sys.argv[1:], range(1, 1000))):
    if (child := os.fork()) == 0:
        left, root = steps + 1000, Path(folder)
        state = State(root / "state.db", root / "key")
        coming = next_key(root / "key", None)
        for owner, name in (
            (database.Database, "_run"), (os, "fsync"), (Path, "rename"), (Path, "replace"), (keyfile, "sync_folder")
        ):
            killing(owner, name)
        left = steps
        state.rotate_key(coming, "me", "vault.rotate")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status))
"""
STEPS = 24
"""More than a rotation of two values has; each is one more place to be killed at."""


def test_killed_at_any_step_one_of_the_two_keys_opens_everything(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    state = State(made / "state.db", made / "key")
    state.set_variable(SHOP, "TOKEN", Secret(VALUE), "me")
    state.set_variable(SHOP, "OTHER", Secret(VALUE), "me")
    before = state.vault_facts().key
    state.close()
    files = {path.name: path.read_bytes() for path in made.iterdir()}
    folders = [tmp_path / str(number) for number in range(STEPS)]
    for folder in folders:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, folders)], capture_output=True, text=True, check=True
    )
    ends = list(map(int, done.stdout.split()))
    assert set(ends) == {0, 9}, done.stderr
    assert (ends[0], ends[-1]) == (9, 0), "killed at the first step, and at the last of a whole rotation"

    keys = {False: 0, True: 0}
    for folder, end in zip(folders, ends, strict=True):
        again = State(folder / "state.db", folder / "key")
        assert again.variables(SHOP) == {"TOKEN": Secret(VALUE), "OTHER": Secret(VALUE)}
        assert not (folder / "key.next").exists(), "what was begun is settled"
        keys[again.vault_facts().key == before] += end == 9
        again.close()
    assert min(keys.values()) > 0, f"killed on both sides of the commit: {keys}"
