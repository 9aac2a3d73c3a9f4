"""What the code reads and the blueprint does not declare: found once, remembered by content, told shortly."""

from __future__ import annotations

import json
from pathlib import Path

from release_fakes import blueprint

from golive.release.undeclared import sentence, undeclared

SERVICES = {"web": {"kind": "web", "command": "x", "source": "web", "env": {"CONST": "1"}}}
MADE = blueprint(SERVICES, env={"DECLARED": {}}, resources={"db": {"engine": "postgres"}})


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_only_what_nobody_gives_is_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "web/a.ts": "process.env.DECLARED; process.env.CONST; process.env.DATABASE_URL; process.env.DB_SSLMODE",
            "web/b.ts": "process.env.PORT\nprocess.env.MISSING",
            "web/dist/c.js": "process.env.NOT_BUILT",
            "web/made/d.js": "process.env.NOT_IGNORED",
            "web/.gitignore": "made\n",
            "other/e.ts": "process.env.NOT_OF_A_SERVICE",
        },
    )
    (found,) = undeclared(tmp_path, MADE)
    assert (found.name, found.place) == ("MISSING", "web/b.ts:2")
    assert sentence([found]) == "MISSING is read (web/b.ts:2) but not declared in golive.toml"
    assert sentence([found] * 5).startswith("MISSING, MISSING, MISSING and 2 more are read (web/b.ts:2)")
    assert sentence([]) == ""


def test_what_was_found_is_remembered_and_follows_the_files(tmp_path: Path) -> None:
    checkout, cache = tmp_path / "checkout", tmp_path / "cache"
    cache.mkdir()
    write(checkout, {"web/a.ts": "process.env.ONE", "web/b.ts": "process.env.TWO"})

    def names() -> list[str]:
        return [one.name for one in undeclared(checkout, MADE, cache=cache)]

    assert names() == names() == ["ONE", "TWO"]
    write(checkout, {"web/a.ts": "process.env.THREE"})
    (checkout / "web/b.ts").unlink()
    assert names() == ["THREE"]
    (memory,) = cache.glob("reads-*.json")
    assert len(json.loads(memory.read_text())["reads"]) == 1
    memory.write_text("{broken")
    assert names() == ["THREE"]
