"""What a rehearsal found: each statement with its time, the locks it took and how long they were held. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from golive.units import human_duration, human_size

MODES = (
    *("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"),
    *("SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"),
)
"""Of PostgreSQL's locks on tables, the weakest first. The first four let others read and write."""
_BLOCKS_WRITES = MODES.index("SHARE")
_TOLD = MODES.index("ROW EXCLUSIVE")
"""From here on a lock is reported: every query takes the two before."""


def mode_of(name: str) -> str:
    """As the manual writes it; `pg_locks` says `AccessExclusiveLock`."""
    known = {"".join(word.title() for word in mode.split()) + "Lock": mode for mode in MODES}
    return known.get(name, name)


def stronger(mode: str, than: str | None) -> bool:
    return than is None or MODES.index(mode) > MODES.index(than)


@dataclass(frozen=True)
class Lock:
    """On a table that was there before. `seconds`: from the statement that took it until its transaction ended."""

    table: str
    mode: str
    seconds: float

    @property
    def blocks(self) -> str:
        """What others have to wait with: `reads and writes`, `writes`, or nothing."""
        if self.mode == MODES[-1]:
            return "reads and writes"
        return "writes" if MODES.index(self.mode) >= _BLOCKS_WRITES else ""


@dataclass(frozen=True)
class Ran:
    """A statement that ran. `rows` of one that changes rows, else None; `rewritten` are tables whose files were written
    anew, `built` indexes of tables that were there before; `failed`: it ended the migration."""

    file: str
    line: int
    statement: str
    seconds: float
    rows: int | None = None
    locks: tuple[Lock, ...] = ()
    rewritten: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    failed: bool = False


@dataclass(frozen=True)
class Account:
    """`applied` by name; sizes of the database in bytes, `peak` the largest seen; `error` as the API sends it. What is
    `rewritten` and `built` by statements that nobody could ask in between (a program of the project) is only here."""

    applied: tuple[str, ...]
    steps: tuple[Ran, ...]
    seconds: float
    size_before: int
    size_after: int
    peak: int
    rewritten: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    error: dict[str, Any] | None = None

    @property
    def longest(self) -> tuple[Ran, Lock] | None:
        """The lock that keeps others waiting and was held longest."""
        found = [(ran, lock) for ran in self.steps for lock in ran.locks if lock.blocks]
        return max(found, key=lambda pair: pair[1].seconds, default=None)

    def to_json(self) -> dict[str, Any]:
        longest = self.longest
        steps = []
        for ran in self.steps:
            locks = [{**asdict(lock), "blocks": lock.blocks} for lock in ran.locks]
            steps.append({**asdict(ran), "locks": locks})
        found = {**asdict(self), "steps": steps, "longest_lock": None}
        if longest:
            ran, lock = longest
            found["longest_lock"] = {**asdict(lock), "blocks": lock.blocks, "file": ran.file, "line": ran.line}
        return found


def from_json(data: Mapping[str, Any]) -> Account:
    """The inverse of `to_json`."""
    steps = []
    for ran in data["steps"]:
        locks = tuple(Lock(lock["table"], lock["mode"], lock["seconds"]) for lock in ran["locks"])
        lists = {name: tuple(ran[name]) for name in ("rewritten", "built")}
        steps.append(Ran(**{**ran, **lists, "locks": locks}))
    sizes = (data["size_before"], data["size_after"], data["peak"])
    written = (tuple(data["rewritten"]), tuple(data["built"]), data["error"])
    return Account(tuple(data["applied"]), tuple(steps), data["seconds"], *sizes, *written)


@dataclass(frozen=True)
class Seen:
    """A statement as it was looked at: `modes` is the strongest of each table when it had ended; those of one
    `transaction` are held until the last of them."""

    ran: Ran
    transaction: int
    modes: Mapping[str, str]


def steps(seen: Sequence[Seen]) -> tuple[Ran, ...]:
    """Pure. With the locks that each statement was the first to take; an upgrade of one counts as another. The locks
    that a statement brings itself stay."""
    found = []
    for at, one in enumerate(seen):
        before = _before(seen[:at], one.transaction)
        rest = sum(each.ran.seconds for each in seen[at:] if each.transaction == one.transaction)
        locks = [
            Lock(table, mode, rest)
            for table, mode in sorted(one.modes.items())
            if MODES.index(mode) >= _TOLD and stronger(mode, before.get(table))
        ]
        found.append(replace(one.ran, locks=(*one.ran.locks, *locks)))
    return tuple(found)


def _before(seen: Iterable[Seen], transaction: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in seen:
        if each.transaction == transaction:
            found |= each.modes
    return found


def describe(account: Account) -> Iterator[str]:
    """A line for each statement and what it did, for a deploy's log and a terminal."""
    for ran in account.steps:
        at = f"{ran.file}:{ran.line}  " if ran.file else ""
        yield f"{at}{human_duration(ran.seconds)}  {short(ran.statement)}{'  failed' if ran.failed else ''}"
        for lock in ran.locks:
            what = f"; {lock.blocks} wait" if lock.blocks else ""
            yield f"    {lock.mode} on {lock.table} for {human_duration(lock.seconds)}{what}"
        if ran.rewritten:
            yield f"    rewritten: {', '.join(ran.rewritten)}"
        if ran.built:
            yield f"    index built: {', '.join(ran.built)}"
        if ran.rows:
            yield f"    {ran.rows:,} rows changed"
    told = {name for ran in account.steps for name in (*ran.rewritten, *ran.built)}
    if rest := [name for name in account.rewritten if name not in told]:
        yield f"rewritten: {', '.join(rest)}"
    if rest := [name for name in account.built if name not in told]:
        yield f"indexes built: {', '.join(rest)}"
    peak = f", {human_size(account.peak)} meanwhile" if account.peak > account.size_after else ""
    yield f"size {human_size(account.size_before)} before, {human_size(account.size_after)} after{peak}"


def summary(account: Account) -> str:
    """In a sentence: how long, and what kept others waiting."""
    count = len(account.applied)
    said = f"{count} migration{'s' * (count != 1)} in {human_duration(account.seconds)} on a copy"
    longest = account.longest
    if longest is None:
        return f"{said}, no lock that reads or writes wait for"
    ran, lock = longest
    at = f" ({ran.file}:{ran.line})" if ran.file else ""
    return f"{said}, longest lock {lock.mode} on {lock.table} for {human_duration(lock.seconds)}{at}"


def short(statement: str, width: int = 80) -> str:
    """On one line."""
    text = " ".join(statement.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
