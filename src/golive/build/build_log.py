"""What a build said, kept in a file: masked, and with the lines that held a secret remembered (ENV-6)."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from golive.build.finding import VALUE, Finding, fingerprint
from golive.build.needles import distinctive, forms
from golive.secret import Mask
from golive.system.files import private_directory, remove_tree

KEEP = 20
"""Deployments whose build logs are kept."""
PART = ".part"
"""What a log's name ends with until it was searched for tokens too."""
_TOKEN = re.compile(r"(?=[^\s\"']*[A-Z])(?=[^\s\"']*[0-9])[A-Za-z0-9_\-+/=.]{20,}|PRIVATE KEY|[0-9a-f]{32}")
"""What may be a token. A line without is not worth a process that knows them all."""


class BuildLog:
    """The log of one service's build. Lines go on to `tell` as they come; a file is made at the second."""

    def __init__(self, file: Path, service: str, values: dict[str, str], mask: Mask, tell: Callable[[str], None]):
        self.file = file
        self.service = service
        self.suspicious = False
        self.found: list[Finding] = []
        self._needles = {
            name: tuple(form.decode(errors="replace") for form in dict.fromkeys(forms(value)))
            for name, value in values.items()
            if distinctive(value)
        }
        self._mask = mask
        self._tell = tell
        self._lines = 0
        self._first = ""
        self._stream: TextIO | None = None

    @property
    def part(self) -> Path:
        return self.file.with_name(self.file.name + PART)

    def __call__(self, line: str) -> None:
        """A line of the build's output."""
        self._lines += 1
        for name, needles in self._needles.items():
            if at := min([spot + 1 for needle in needles if (spot := line.find(needle)) >= 0], default=0):
                mark = fingerprint(VALUE, name)
                found = Finding("log", str(self.file), self._lines, at, VALUE, mark, name=name, service=self.service)
                self.found.append(found)
        masked = self._mask(line)
        self.suspicious = self.suspicious or bool(_TOKEN.search(masked))
        self._tell(masked)
        self._write(masked)

    def _write(self, line: str) -> None:
        """A log that cannot be kept (a full disk) is no reason to stop a build."""
        if self._lines == 1:
            self._first = line
            return
        with contextlib.suppress(OSError):
            if self._stream is None:
                private_directory(self.file.parent)
                self._stream = open(self.part, "w", errors="replace", opener=_private)  # noqa: SIM115 - closed by `close`
                self._stream.write(f"{self._first}\n")
            self._stream.write(f"{line}\n")

    def close(self) -> bool:
        """Nothing more comes. Whether there is a file to look at."""
        if self._stream is None:
            return False
        with contextlib.suppress(OSError):
            self._stream.close()
        return True

    def settle(self) -> None:
        """It was searched, and what was found is masked in it."""
        with contextlib.suppress(OSError):
            self.part.rename(self.file)

    def drop(self) -> None:
        self.close()
        with contextlib.suppress(OSError):
            self.part.unlink()
            self.file.parent.rmdir()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def forget_unsearched(builds: Path) -> None:
    """What a killed daemon left was not searched, and may hold a token."""
    with contextlib.suppress(OSError):
        for part in builds.glob(f"*/*{PART}"):
            part.unlink()


def forget_old(builds: Path) -> None:
    """Keep the logs of the newest deployments, whose folders are named by number."""
    with contextlib.suppress(OSError):
        for folder in sorted((p for p in builds.iterdir() if p.name.isdigit()), key=lambda p: -int(p.name))[KEEP:]:
            remove_tree(folder)
