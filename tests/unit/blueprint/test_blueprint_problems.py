"""Golden pairs: a golive.toml and the exact problems golive reports for it (`problems/*.txt`)."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from golive.blueprint.load import load
from golive.errors import BlueprintError

FOLDER = Path(__file__).parent / "problems"
FILES = {
    "site/index.html": "<h1>site</h1>",
    "api/requirements.txt": "fastapi\nuvicorn\n",
    "api/main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n",
    "jobs/mail.py": "print('mail')\n",
    "migrations/001_first.sql": "create table t (id int);\n",
}


def cases() -> Iterator[tuple[str, str, str]]:
    for file in sorted(FOLDER.glob("*.txt")):
        for block in file.read_text().split("=== ")[1:]:
            title, _, rest = block.partition("\n")
            text, _, problems = rest.partition("---\n")
            yield f"{file.stem}: {title}", text, problems.strip("\n")


CASES = list(cases())


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_problems(tree, text, expected):
    checkout = tree({**FILES, "golive.toml": text})
    (checkout / "link-out").symlink_to("/etc")
    (checkout / "loop").symlink_to("loop")
    with pytest.raises(BlueprintError) as raised:
        load(checkout)
    assert "\n".join(map(str, raised.value.problems)) == expected
    assert os.fspath(checkout) not in raised.value.what


def test_there_are_enough_cases_to_mean_something():
    assert len(CASES) >= 60
    assert len({title for title, _, _ in CASES}) == len(CASES)
    assert all(expected for _, _, expected in CASES)


def test_mutilated_files_give_problems_never_a_traceback(tree):
    chance = random.Random(2)
    pieces = [
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        ",",
        '"',
        "'",
        "#",
        "\n",
        "\\",
        "1",
        "a",
        '"""',
        "[[",
        " = 1\n",
        "true",
        "{}",
        "[]",
    ]
    checkout = tree(FILES)
    refused = 0
    for _ in range(300):
        text = chance.choice(CASES)[1]
        for _ in range(chance.randint(1, 3)):
            start = chance.randrange(len(text) + 1)
            text = text[:start] + chance.choice(pieces) + text[start + chance.choice((0, 1, 4)) :]
        (checkout / "golive.toml").write_text(text)
        try:
            load(checkout)
        except BlueprintError as error:
            refused += 1
            assert error.problems and all(problem.message for problem in error.problems)
    assert refused > 200
