"""What `golive dev` has started, on disk, so that whoever comes after a kill can end it."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

from golive.home import Home
from golive.system.files import write_atomic
from golive.system.processes import Process, ProcessId, adopt

FILE = "dev.json"


@dataclass
class Record:
    """The programs of one session, written down whenever one begins or ends."""

    path: Path
    programs: list[ProcessId] = field(default_factory=list)

    def add(self, program: ProcessId) -> None:
        self.programs.append(program)
        self._write()

    def remove(self, program: ProcessId) -> None:
        self.programs.remove(program)
        self._write()

    def kill(self) -> None:
        """All of them at once, without asking."""
        for id in self.programs:
            if process := adopt(id):
                process.send(signal.SIGKILL)

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self.path, json.dumps([asdict(program) for program in self.programs]), sync=False)


def record_path(home: Home, app: str, environment: str) -> Path:
    return home.app(app, environment) / FILE


async def end_left_behind(path: Path) -> int:
    """Kill what a session left running, with everything in the programs' sessions; how many those were."""
    import psutil

    try:
        listed = [ProcessId(**entry) for entry in json.loads(path.read_text())]
        since_boot = path.stat().st_mtime > psutil.boot_time()
    except (OSError, ValueError, TypeError):
        return 0
    found = sum(adopt(id) is not None for id in listed)
    for id in listed if since_boot else ():
        await Process(id).stop(
            timedelta(seconds=2)
        )  # also where the program itself has ended and its children have not
    path.unlink(missing_ok=True)
    return found
