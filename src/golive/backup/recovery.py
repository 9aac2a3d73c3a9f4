"""How far a restore goes, decided: which backup, which settings, and whether it got there. No I/O here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from golive.backup import wal
from golive.backup.catalog import Broken, Manifest
from golive.errors import BackupFailed, BackupUntried

_DONE = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
_LAST = re.compile(r"last completed transaction was at log time (.+)")
_TORN = re.compile(r"(incorrect resource manager data checksum|invalid magic number|record with incorrect prev-link).*")
_BLANK = re.compile(r"invalid magic number 0000 in (?:log|WAL) segment ([0-9A-F]{24}),.*offset (\d+)")
LEAST = 1 << 20
"""Bytes without which a disk is full."""


@dataclass(frozen=True)
class Latest:
    """All WAL there is."""


@dataclass(frozen=True)
class Until:
    """The last commit at or before `at`, which has a time zone."""

    at: datetime


@dataclass(frozen=True)
class AsBackedUp:
    """The moment the base backup ended: it needs no WAL beside it."""


Goal = Latest | Until | AsBackedUp


def choose(
    known: Sequence[Manifest | Broken], goal: Goal, has_failed: Callable[[Manifest], bool] = lambda _: False
) -> Manifest:
    """The newest backup from which the goal can be reached, and which has not failed; when all have, the newest.
    BackupFailed says from when on there is one."""
    good = [backup for backup in known if isinstance(backup, Manifest)]
    fit = [backup for backup in good if not isinstance(goal, Until) or backup.ended <= goal.at]
    if fit:
        return next((backup for backup in reversed(fit) if not has_failed(backup)), fit[-1])
    raise BackupFailed(
        f"no backup is older than {_shown(goal.at)}" if isinstance(goal, Until) and good else "there is no good backup",
        why=f"the oldest one ended at {_shown(good[0].ended)}" if good else None,
        hint="choose a later time" if good else "look whether the disk of the backups is mounted",
    )


def require_wal(manifest: Manifest, names: Iterable[str], goal: Goal) -> None:
    """BackupFailed when what was received cannot lead to the end of it."""
    gap = wal.missing(names, manifest.stop_lsn, manifest.segment)
    if gap and isinstance(goal, Latest):
        first = wal.segment_name(gap[0], manifest.timeline, manifest.segment)
        raise BackupFailed(
            f"{manifest.name} cannot be brought up to date: {len(gap)} WAL segments are missing, the first is {first}",
            where=manifest.name,
            why="they were not received, or were deleted",
            hint="restore to a time before that, or from a newer backup; nothing was changed",
        )


def settings(goal: Goal, received: Path | None) -> dict[str, str]:
    """What PostgreSQL is told. Nobody is let in before it is done, and the server never archives or replicates."""
    found = {
        "hot_standby": "off",
        "recovery_target_action": "promote",
        "recovery_target_timeline": "latest",
        "restore_command": wal.restore_command(received) if received else "false",
        "archive_mode": "off",
        "primary_conninfo": "",
        "shared_preload_libraries": "",
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_min_messages": "warning",
        "listen_addresses": "",
    }
    if isinstance(goal, Until):
        found["recovery_target_time"] = goal.at.astimezone(UTC).isoformat(sep=" ")
    if isinstance(goal, AsBackedUp):
        found["recovery_target"] = "immediate"
    return found


def killed_in(manifest: Manifest, log: str) -> BackupUntried | None:
    """What to say of a server of which the kernel, or somebody, killed a process."""
    if "was terminated by signal 9" not in log:
        return None
    return BackupUntried(
        f"{manifest.name} could not be recovered",
        where=manifest.name,
        why="the server was killed: the machine has too little memory",
        hint="try again when it has more; the backup and the running database are as they were",
        log=_end(log),
    )


def refused(manifest: Manifest, goal: Goal, log: str, free: int) -> BackupFailed:
    """What to say of a server that ended before it had recovered; `free` bytes are left on its disk."""
    fatal = [line for line in log.splitlines() if "FATAL:" in line or "PANIC:" in line]
    why = fatal[-1].partition(":  ")[2] if fatal else "it ended without a word"
    hint = "its log says more; the backup and the running database are as they were"
    if "No space left" in log or free < LEAST:  # its log is on that disk too
        return BackupUntried(
            f"{manifest.name} could not be recovered",
            where=manifest.name,
            why="the disk is full",
            hint="free some disk space, then try again; the backup and the running database are as they were",
            log=_end(log),
        )
    if killed := killed_in(manifest, log):
        return killed
    if "before configured recovery target" in why and isinstance(goal, Until):
        last = _LAST.findall(log)
        return BackupFailed(
            f"the WAL of {manifest.source} ends before {_shown(goal.at)}",
            where=manifest.name,
            why=f"the last commit in it is of {last[-1]}" if last else "there is no commit in it after the backup",
            hint="choose an earlier time, or restore to latest, which takes all there is",
            log=_end(log),
        )
    if "before consistent recovery point" in why and isinstance(goal, Until):
        return BackupFailed(
            f"{manifest.name} was still being taken at {_shown(goal.at)}",
            where=manifest.name,
            why="the clock of the machine was set back or forward around it, or that moment is too close to it",
            hint="choose a later time, or restore an older backup as it was taken (golive restore --backup)",
            log=_end(log),
        )
    return BackupFailed(
        f"{manifest.name} could not be recovered", where=manifest.name, why=why, hint=hint, log=_end(log)
    )


def require_end(manifest: Manifest, names: Iterable[str], goal: Goal, log: str, received: Path | None = None) -> None:
    """Damaged WAL looks to PostgreSQL like the end of it: BackupFailed when more was received than was replayed. What
    was received into `received` may end in the middle of a record: zeros from there on are no damage."""
    if not isinstance(goal, Latest):
        return
    end = [manifest.stop_lsn, *_DONE.findall(log)][-1]
    reached = wal.position(end) // manifest.segment
    whole = [segment for segment in wal.segments(names, manifest.segment) if not segment.partial]
    beyond = [segment for segment in whole if segment.number > reached]
    torn = _TORN.search(log)
    if torn and received and _ends_there(torn[0], received):
        torn = None
    if beyond or torn:
        name = wal.segment_name(reached, manifest.timeline, manifest.segment)
        last = _LAST.findall(log)
        raise BackupFailed(
            f"the WAL after {manifest.name} is damaged at {end}, in segment {name}",
            where=name,
            why=torn[0] if torn else f"PostgreSQL stopped there, and {len(beyond)} whole segments follow",
            hint=f"restore to a time before {last[-1] if last else 'that'} (golive restore --to-time), or from a newer "
            "backup; nothing was changed",
            log=_end(log),
        )


def _ends_there(said: str, received: Path) -> bool:
    """Whether nothing follows in the segment where PostgreSQL met a page without a beginning."""
    found = _BLANK.search(said)
    if not found:
        return False
    files = [each for each in received.iterdir() if each.name.startswith(found[1])]
    return bool(files) and not any(each.read_bytes()[int(found[2]) :].strip(b"\0") for each in files)


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _end(log: str) -> str:
    return "\n".join(log.splitlines()[-15:])
