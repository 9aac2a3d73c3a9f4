"""Other platforms' files from public repositories: do they import, is the result accepted, is every key accounted for?

A file of the corpus stands alone, without its checkout. So that what it leaves to detection can be detected, a small
application (one ASGI file and one page) stands in for the code in every folder that the file names.
"""

from __future__ import annotations

import csv
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.agreement import ConverterMissing, compare, converter
from benchmarks.machine import MissingToolError
from benchmarks.result import Bar, Result, Table
from golive.blueprint.checkout import Checkout
from golive.importers.files import import_text
from golive.importers.loading import Unreadable, load_json
from golive.importers.propose import propose_from
from golive.importers.report import Imported

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpus"
KINDS = {
    "vercel.json": "vercel.json",
    "render.yaml": "render.yaml",
    "railway": "railway",
    "nixpacks.toml": "nixpacks.toml",
    "railpack.json": "railpack.json",
    "compose": "compose",
    "Procfile": "Procfile",
    "app.json": "app.json",
    "fly.toml": "fly.toml",
    "env.example": ".env",
}
"""Folder of the corpus → kind of file."""
STAND_IN = {
    "main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n",
    "requirements.txt": "fastapi\nuvicorn\n",
    "index.html": "<!doctype html><title>x</title>\n",
}


@dataclass
class Tally:
    """What one kind of file came to."""

    files: int = 0
    tracebacks: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    keys: int = 0
    carried: int = 0
    lost: int = 0

    @property
    def valid(self) -> int:
        return self.files - len(self.refused) - len(self.tracebacks)


def corpus_files(folder: str) -> Iterator[tuple[Path, str]]:
    """The corpus's files of a kind, and the path each has in its own repository."""
    paths: dict[str, str] = {}
    with (CORPUS / "PROVENANCE.tsv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            if row["kind"] == folder:
                paths[row["file"]] = row["path"]
    for file in sorted((CORPUS / folder).iterdir()):
        yield file, paths.get(file.name, file.name.rpartition("__")[2])


def tally(folder: str) -> Tally:
    """Import every file of a kind, and have each result judged by golive itself."""
    found = Tally()
    for file, path in corpus_files(folder):
        found.files += 1
        try:
            imported = import_text(KINDS[folder], file.read_text(encoding="utf-8", errors="replace"), path)
            problems = judged(imported)
        except Exception:
            found.tracebacks.append(f"{file.name}: {traceback.format_exc(limit=-3)}")
            continue
        found.keys += imported.keys
        found.carried += sum(len(entry.keys) for entry in imported.carried)
        found.lost += sum(len(entry.keys) for entry in imported.lost)
        if imported.problem:
            found.unreadable.append(f"{file.name}: {imported.problem}")
        if problems:
            found.refused.append(f"{file.name}: {problems[0]}")
    return found


def judged(imported: Imported) -> list[str]:
    """What golive has against the golive.toml made of one file."""
    with tempfile.TemporaryDirectory(prefix="golive-import-") as scratch:
        services = imported.proposal.get("services", {})
        for source in {".", *(str(service.get("source", ".")) for service in services.values())}:
            place = Path(scratch) / source
            place.mkdir(parents=True, exist_ok=True)
            output = next((s["build"]["output"] for s in services.values() if "output" in s.get("build", {})), None)
            if output:
                (place / output).mkdir(parents=True, exist_ok=True)
            for name, text in STAND_IN.items():
                (place / name).write_text(text, encoding="utf-8")
        return [str(problem) for problem in propose_from(Checkout(Path(scratch)), "corpus", [imported]).problems]


def run() -> Result:
    """Every kind of the corpus, and vercel.json against Vercel's own converter."""
    if not CORPUS.is_dir():
        raise MissingToolError("the corpus (../shared/corpus) is not there")
    table = Table("imports", ("kind", "files", "tracebacks", "unreadable", "valid", "keys", "carried", "listed"))
    tallies = {folder: tally(folder) for folder in KINDS}
    for folder, found in tallies.items():
        share = f"{found.valid} ({found.valid / found.files:.0%})" if found.files else "0"
        counts = (
            found.files,
            len(found.tracebacks),
            len(found.unreadable),
            share,
            found.keys,
            found.carried,
            found.lost,
        )
        table.rows.append((folder, *map(str, counts)))
    table.note = "valid: golive accepts what is written; a small application stands in for the checkout"
    result = Result("import", [table], list(_bars(tallies)))
    result.details = {
        folder: {"tracebacks": f.tracebacks, "refused": f.refused, "unreadable": f.unreadable}
        for folder, f in tallies.items()
    }
    _agreement(result)
    return result


def _bars(tallies: dict[str, Tally]) -> Iterator[Bar]:
    files = sum(found.files for found in tallies.values())
    yield Bar("tracebacks", sum(len(found.tracebacks) for found in tallies.values()), 0)
    valid = 100 * sum(found.valid for found in tallies.values()) / max(files, 1)
    yield Bar("files that give a blueprint golive accepts", round(valid, 1), 95, at_least=True, unit="%")
    keys = sum(found.keys for found in tallies.values())
    accounted = sum(found.carried + found.lost for found in tallies.values())
    yield Bar("keys carried or listed", round(100 * accounted / max(keys, 1), 2), 100, at_least=True, unit="%")


def _agreement(result: Result) -> None:
    configs = {}
    for file, _ in corpus_files("vercel.json"):
        try:
            configs[file.name] = load_json(file.read_text(encoding="utf-8")).data
        except Unreadable:
            continue
    table = Table("vercel.json against Vercel's own converter", ("files", "requests", "same", "refused by Vercel"))
    try:
        found = compare(configs, converter())
    except ConverterMissing as reason:
        table.note = f"not measured: {reason}"
    else:
        counts = (found.files, found.requests, found.same, len(found.refused))
        table.rows.append(tuple(map(str, counts)))
        share = 100 * found.same / max(found.requests, 1)
        result.bars.append(Bar("requests with the same answer", round(share, 2), 100, at_least=True, unit="%"))
        result.details["agreement"] = {"differences": found.differences, "refused": found.refused}
    result.tables.append(table)
