"""The search for secrets, as a program of its own: the daemon stays small, and its arguments say nothing.

A `Request` as JSON comes by standard input; findings, progress and the `Summary` go out, one JSON a line. What was
searched is remembered by content in `memory`, so that the second search reads nothing again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golive.build.build_log import PART
from golive.build.finding import VALUE, Finding, Place, excerpt, fingerprint
from golive.build.history import LARGEST, Repository, Version, repository, versions
from golive.build.needles import distinctive, forms
from golive.build.source import scan
from golive.errors import BuildFailed
from golive.secret import MASK
from golive.system.files import write_atomic

if TYPE_CHECKING:
    from golive.build.shapes import Shape, Shapes

EVERY = 0.5
"""Seconds between two lines of progress."""
KEY = 16
"""Bytes of the name under which a content is remembered."""
BINARY = 8000
"""Bytes in which a NUL makes a file binary, as for git."""


@dataclass(frozen=True)
class Bundle:
    """What browsers get of one artifact: `places` are folders below `root`."""

    service: str
    root: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What to search. `values` are the app's secrets by name, `public` what is meant for everybody. `rules` names the
    version of the rules of shapes.

    `sources` are folders of the checkout; none of them: the work tree and the history are left alone. `budget` is how
    many seconds the history may take. `anew` searches what was searched before too.
    """

    cache: str
    rules: str
    checkout: str = ""
    sources: tuple[str, ...] = ()
    memory: str = ""
    values: dict[str, str] = field(default_factory=dict, repr=False)
    public: tuple[str, ...] = ()
    history: bool = True
    budget: float = 60
    anew: bool = False
    bundles: tuple[Bundle, ...] = ()
    logs: dict[str, str] = field(default_factory=dict)
    """File by service."""
    prepare: bool = False
    """Compile the rules where they are not."""


@dataclass
class Summary:
    """How much was searched now; `note` says what was not."""

    files: int = 0
    versions: int = 0
    bundles: int = 0
    note: str = ""


@dataclass
class Memory:
    """What an earlier search found clean, under the same rules and values; what it found in the history."""

    place: Path | None
    basis: str = ""
    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    stamp: str = ""
    head: str | None = None
    found: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""
    clean: set[bytes] = field(default_factory=set)
    changed: bool = False

    @classmethod
    def load(cls, request: Request) -> Memory:
        place = Path(request.memory) if request.memory else None
        memory = cls(place)
        with contextlib.suppress(OSError, ValueError, TypeError):
            if place and not request.anew:
                raw = place.with_suffix(".clean").read_bytes()
                memory = cls(place, **json.loads(place.read_bytes()))
                memory.clean = {raw[at : at + KEY] for at in range(0, len(raw), KEY)}
        known = json.dumps(
            [memory.salt, request.rules, request.checkout, sorted(request.values.items()), sorted(request.public)]
        )
        basis = hashlib.sha256(known.encode(errors="surrogateescape")).hexdigest()
        return memory if memory.basis == basis else cls(place, basis, memory.salt, changed=True)

    def save(self) -> None:
        if self.place is None or not self.changed:
            return
        with contextlib.suppress(OSError):
            kept = {k: getattr(self, k) for k in ("basis", "salt", "stamp", "head", "found", "note")}
            self.place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(self.place.with_suffix(".clean"), b"".join(self.clean), sync=False)
            write_atomic(self.place, json.dumps(kept), sync=False)


class Search:
    """One search. `say` gets what goes out."""

    def __init__(self, request: Request, say: Callable[[dict[str, Any]], None]) -> None:
        self._request = request
        self._say = say
        self._memory = Memory.load(request)
        self._needles = {
            name: tuple(dict.fromkeys(forms(value))) for name, value in request.values.items() if distinctive(value)
        }
        self._shapes: Shapes | None = None
        self._said = time.monotonic()
        self.summary = Summary()

    def run(self) -> None:
        if self._request.prepare:
            self._known_shapes()
        if self._request.sources:
            self._work_tree()
            if self._request.history:
                self._history()
            self._memory.save()
        for bundle in self._request.bundles:
            for file in _bundle_files(bundle):
                self.summary.bundles += 1
                name = file.relative_to(bundle.root).as_posix()
                for finding in self._find(_read(file), "bundle", name, "", service=bundle.service):
                    self._tell(finding)
        for service, log in self._request.logs.items():
            self._log(service, Path(log))

    def _work_tree(self) -> None:
        checkout = Path(self._request.checkout)
        seen: set[str] = set()
        for source in self._request.sources:
            try:
                tree = scan(checkout, source, cache=Path(self._request.cache), strict=False)
            except BuildFailed:
                continue  # a folder that is not there: the build says so
            for entry in tree.entries:
                if entry.link is None and entry.origin not in seen:
                    seen.add(entry.origin)
                    self._file(Path(entry.origin), checkout, entry.digest)
        blueprint = checkout / "golive.toml"
        if str(blueprint) not in seen:
            self._file(blueprint, checkout, None)

    def _file(self, file: Path, checkout: Path, digest: str | None) -> None:
        data = None
        if digest is None:
            data = _read(file)
            digest = hashlib.sha256(data).hexdigest()
        name = os.path.relpath(file, checkout.resolve())
        key = _key("file", name, digest)
        if key in self._memory.clean:
            return
        self.summary.files += 1
        self._progress(f"{self.summary.files} files")
        self._remember(key, list(self._find(_read(file) if data is None else data, "work tree", name, name)))

    def _remember(self, key: bytes, found: list[Finding]) -> None:
        for finding in found:
            self._tell(finding)
        if not found:
            self._memory.clean.add(key)
            self._memory.changed = True

    # History

    def _history(self) -> None:
        repo = repository(Path(self._request.checkout))
        if repo is None:
            return
        stamp = repo.stamp()
        if stamp != self._memory.stamp:
            self._read_history(repo, stamp)
        for found in self._memory.found:
            self._tell(Finding(**found))
        self.summary.note = self._memory.note

    def _read_history(self, repo: Repository, stamp: str) -> None:
        """What commits added since the last search. Where that found something all of it is searched again: commits may
        have been rewritten to take it out."""
        memory = self._memory
        memory.changed = True
        since = None if memory.found else memory.head
        memory.head, memory.found, memory.stamp = None, [], ""
        oldest: dict[tuple[str, str], tuple[int, Finding]] = {}
        memory.note = "the clone is shallow: commits before it were not searched" if repo.shallow else ""
        try:
            complete = self._versions(repo, since, oldest)
        except (OSError, RuntimeError, ValueError) as error:
            complete = False
            memory.note = f"not all of the git history was searched: {error}"
        else:
            if not complete:
                memory.note = (
                    f"not all of the git history was searched in {self._request.budget:.0f} s "
                    f"({self.summary.versions} versions of files were); golive secrets scan --history searches it all"
                )
        memory.found = [asdict(finding) for _, finding in oldest.values()]
        if complete:
            memory.head, memory.stamp = repo.head(), stamp

    def _versions(
        self, repo: Repository, since: str | None, oldest: dict[tuple[str, str], tuple[int, Finding]]
    ) -> bool:
        """False when the budget was used up."""
        deadline = time.monotonic() + self._request.budget
        for version in _since(repo, since):
            if time.monotonic() > deadline:
                return False
            key = _key("blob", version.path, version.blob)
            if key in self._memory.clean:
                continue
            self.summary.versions += 1
            self._progress(f"{self.summary.versions} versions of files in the git history")
            found = list(self._find(version.data, "history", version.path, version.path, commit=version.commit))
            if not found:
                self._memory.clean.add(key)
            for finding in found:
                same = (finding.file, finding.fingerprint)
                if same not in oldest or version.at < oldest[same][0]:
                    oldest[same] = (version.at, finding)
        return True

    # A log

    def _log(self, service: str, log: Path) -> None:
        """Its tokens, which are masked in it at once."""
        data = masked = log.read_bytes()
        for shape in self._known_shapes().find(data):
            self._tell(replace(_finding(shape, "log", str(log).removesuffix(PART)), service=service))
            raw = shape.secret.encode()
            masked = masked.replace(raw, b"\n".join([MASK.encode()] * (raw.count(b"\n") + 1)))
        if masked != data:
            write_atomic(log, masked)

    # One text

    def _known_shapes(self) -> Shapes:
        if self._shapes is None:
            from golive.build.shapes import Shapes

            self._shapes = Shapes(Path(self._request.cache) / "secrets", self._request.public)
        return self._shapes

    def _find(
        self, data: bytes, place: Place, file: str, logical: str, *, commit: str = "", service: str = ""
    ) -> Iterator[Finding]:
        """Values of the app's secrets, then shapes that are none of those."""
        taken: set[int] = set()
        for name, needles in self._needles.items():
            at = min([spot for needle in needles if (spot := data.find(needle)) >= 0], default=-1)
            if at >= 0:
                line, column = data.count(b"\n", 0, at) + 1, at - data.rfind(b"\n", 0, at)
                taken.add(line)
                found = Finding(place, file, line, column, VALUE, fingerprint(VALUE, name), name=name)
                yield replace(found, commit=commit, service=service)
        if b"\0" in data[:BINARY]:
            return
        for shape in self._known_shapes().find(data, logical):
            if shape.line in taken and any(shape.secret.encode() in needles for needles in self._needles.values()):
                continue
            yield replace(_finding(shape, place, file), commit=commit, service=service)

    def _tell(self, finding: Finding) -> None:
        self._say({"type": "finding", **asdict(finding)})

    def _progress(self, text: str) -> None:
        if time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            self._say({"type": "progress", "text": f"searched {text}"})


def _finding(shape: Shape, place: Place, file: str) -> Finding:
    mark = fingerprint(shape.rule, shape.secret)
    return Finding(place, file, shape.line, shape.column, shape.rule, mark, excerpt(shape.secret), mild=shape.mild)


def _since(repo: Repository, since: str | None) -> Iterator[Version]:
    """From the beginning when the commit has gone meanwhile."""
    if since is not None:
        found = versions(repo, since)
        try:
            first = next(found, None)
        except (OSError, RuntimeError, ValueError):
            pass
        else:
            if first is not None:
                yield first
                yield from found
            return
    yield from versions(repo, None)


def _bundle_files(bundle: Bundle) -> Iterable[Path]:
    """What is sent from one of the folders; the code in Next's own server folder stays here."""
    from golive.build.leaks import is_sent

    for place in bundle.places:
        for folder, _, names in os.walk(place):
            for name in sorted(names):
                file = Path(folder, name)
                if not file.is_symlink() and is_sent(file) and file.suffix not in (".br", ".gz", ".zst"):
                    yield file


def _read(file: Path) -> bytes:
    """Nothing for what is too large or gone."""
    with contextlib.suppress(OSError):
        if file.stat().st_size <= LARGEST:
            return file.read_bytes()
    return b""


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).digest()[:KEY]


def main() -> None:
    request = json.load(sys.stdin.buffer)
    request["bundles"] = tuple(Bundle(**bundle) for bundle in request.get("bundles", ()))

    def say(line: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    search = Search(Request(**request), say)
    search.run()
    say({"type": "end", **asdict(search.summary)})


if __name__ == "__main__":
    main()
