"""One statement being judged: what it is asked about, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from golive.migrate.lint.facts import Facts, Table, Weight
from golive.migrate.lint.finding import Finding, Level
from golive.migrate.lint.marks import Marks
from golive.migrate.lint.rules import RULES
from golive.migrate.lint.running import SOMEBODY, Code, Release
from golive.migrate.lint.tree import Node, named

_LEVELS = {
    Weight.TINY: Level.NOTE,
    Weight.SMALL: Level.WARNING,
    Weight.LARGE: Level.STOP,
    Weight.UNKNOWN: Level.STOP,
}


@dataclass
class World:
    """The database as the statements before have made it. `created` and `added` are new since the migrations began:
    nobody else knows of them; `defaulted` are the added columns that a default fills. `not_valid` are constraints that
    wait for their VALIDATE, with their table and the column that they keep from being NULL; `filled` are columns that a
    validated constraint keeps so."""

    facts: Facts
    running: tuple[Release, ...]
    created: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    added: set[tuple[str, str]] = field(default_factory=set)
    defaulted: set[tuple[str, str]] = field(default_factory=set)
    not_valid: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    filled: set[tuple[str, str]] = field(default_factory=set)

    def copy(self) -> World:
        return World(
            self.facts,
            self.running,
            set(self.created),
            set(self.objects),
            set(self.added),
            set(self.defaulted),
            dict(self.not_valid),
            set(self.filled),
        )

    def key(self, relation: Node) -> str:
        """`schema.name`, as the search path finds it."""
        schema, name = named(relation)
        return self.key_of(schema, name)

    def key_of(self, schema: str | None, name: str) -> str:
        new = f"{schema or (self.facts.path or ('public',))[0]}.{name}"
        if new in self.created:
            return new
        table = self.facts.find(schema, name)
        return table.key if table else new

    def table(self, key: str) -> Table | None:
        return None if key in self.created else self.facts.tables.get(key)

    def weight(self, key: str) -> Weight:
        if key in self.created:
            return Weight.NEW
        if table := self.facts.tables.get(key):
            return table.weight
        return Weight.NEW if self.facts.known else Weight.UNKNOWN

    def size(self, key: str) -> str:
        table = self.facts.tables.get(key)
        return f"{key} ({table.size})" if table else f"{key} (its size is not known: no database was asked)"


@dataclass
class Look:
    """`locks` are tables that something earlier in the same transaction keeps others from, by the line of it; `inside`
    says that the statement runs in a transaction. `offset` is added to the lines of a part of a statement."""

    world: World
    marks: Marks
    file: str
    line: int
    text: str
    inside: bool
    locks: dict[str, tuple[int, str]]
    rest: tuple[str, ...] = ()
    """The statements after it in the same transaction."""
    findings: list[Finding] = field(default_factory=list)
    script: str = ""
    """The name by which releases carry the file."""

    @property
    def contract(self) -> bool:
        return self.marks.contract is not None

    def say(
        self,
        level: Level,
        rule: str,
        what: str,
        why: str = "",
        *,
        safe: str = "",
        lock: str = "",
        evidence: tuple[str, ...] = (),
    ) -> None:
        """Unless it is accepted, in which case it is a note."""
        reason = self.marks.accepted(rule, self.line)
        found = Finding(
            Level.NOTE if reason else level,
            rule,
            self.file,
            self.line,
            shortened(self.text),
            what,
            why or RULES[rule].danger,
            lock,
            safe or RULES[rule].instead,
            evidence,
            reason,
            self.script,
        )
        if found not in self.findings:
            self.findings.append(found)

    def works(self, rule: str, key: str, doing: str, *, lock: str, safe: str = "") -> None:
        """Something that takes as long as the table is large, with others waiting."""
        weight = self.world.weight(key)
        if weight is not Weight.NEW:
            self.say(_LEVELS[weight], rule, f"{doing} {self.world.size(key)}", safe=safe, lock=lock)

    def takes(self, rule: str, what: str, places: Callable[[Code], tuple[str, ...]], *, safe: str = "") -> None:
        """Something that a running release may need."""
        evidence, needing = needs(self.world.running, places, self.script if self.contract else "")
        if not needing:
            numbers = ", ".join(str(release.number) for release in self.world.running)
            nobody = f"No code of release {numbers} names it." if numbers else "No release runs that could need it."
            self.say(Level.NOTE, rule, what, nobody, safe=safe)
            return
        level = Level.HELD if self.contract else Level.STOP
        self.say(level, rule, what, _who(needing, bool(evidence)), safe=safe, evidence=evidence)

    def lock(self, key: str, lock: str) -> None:
        """Remember that others are kept from this table until the transaction ends."""
        if self.inside and self.world.weight(key) >= Weight.SMALL:
            self.locks.setdefault(key, (self.line, lock))

    def long(self, key: str, doing: str, *, own: bool = True) -> None:
        """A statement that works through a table: bad while this transaction keeps others from one."""
        if not self.inside or not self.locks or self.world.weight(key) < Weight.SMALL:
            return
        held = next(iter(self.locks.items()))
        if key in self.locks and own:
            held = (key, self.locks[key])
        table, (line, lock) = held
        what = f"{doing} {self.world.size(key)} while line {line} holds {lock} on {table}"
        level = _LEVELS[max(self.world.weight(key), self.world.weight(table))]
        self.say(level, "lock-held-long", what, lock=lock, safe=f"put this statement in the next file:\n{self.text};")


def needs(
    running: Iterable[Release], places: Callable[[Code], tuple[str, ...]], contract: str
) -> tuple[tuple[str, ...], tuple[Release, ...]]:
    """Pure but for reading the code: where a name stands, and the releases that need it or may."""
    evidence: list[str] = []
    needing = []
    for release in running:
        if contract and contract in release.carried:
            continue
        found = places(release.code)
        if found or not release.code.certain:
            needing.append(release)
            evidence += [f"release {release.number}: {place}" for place in found]
    return tuple(evidence), tuple(needing)


def _who(needing: tuple[Release, ...], proven: bool) -> str:
    if any(release is SOMEBODY for release in needing):
        return "May be needed by the release that runs: which one that is was not asked."
    names = " and ".join(
        f"release {r.number}" + (f", kept warm {r.until}" if r.until else ", which is live") for r in needing
    )
    if proven:
        return f"Named by {names}."
    return f"May be needed by {names}: its code cannot be searched, or takes its names from the database."


def shortened(text: str) -> str:
    """On one line, for a table or a message."""
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"
