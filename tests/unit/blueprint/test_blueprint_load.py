"""Reading the file: where it may be, what it may not be, and where things stand in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from golive.blueprint.document import parse_document
from golive.blueprint.load import load
from golive.blueprint.positions import key_path, line_index
from golive.errors import BlueprintError

MINIMAL = 'name = "a"\n[services.web]\nsource = "site"\n'


def refused(path: Path, environment: str = "production") -> str:
    with pytest.raises(BlueprintError) as raised:
        load(path, environment)
    assert raised.value.exit_code == 2
    return "\n".join(map(str, raised.value.problems))


def test_the_folder_or_the_file(tree):
    checkout = tree({"golive.toml": MINIMAL, "site/index.html": ""})
    by_folder, by_file = load(checkout), load(checkout / "golive.toml")
    assert by_folder == by_file
    assert by_folder.checkout == checkout
    assert by_folder.file == checkout / "golive.toml"
    assert by_folder.blueprint.name == "a"


def test_a_relative_path(tree, monkeypatch):
    checkout = tree({"golive.toml": MINIMAL, "site/index.html": ""})
    monkeypatch.chdir(checkout)
    assert load(Path()).checkout == checkout


def test_missing(tmp_path):
    assert "there is no golive.toml in" in refused(tmp_path)
    assert "`golive init` writes one" in refused(tmp_path)
    assert "there is no other.toml in" in refused(tmp_path / "other.toml")


def test_unreadable(tree):
    checkout = tree({"golive.toml": MINIMAL})
    assert "cannot be read: Not a directory" in refused(checkout / "golive.toml" / "golive.toml")
    assert "cannot be read: File name too long" in refused(checkout / ("x" * 300))


def test_a_loop_of_links(tmp_path):
    (tmp_path / "golive.toml").symlink_to("golive.toml")
    assert "cannot be read: Too many levels of symbolic links" in refused(tmp_path)


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "golive.toml")
    assert refused(tmp_path) == "golive.toml: is not a regular file"


def test_a_folder_by_that_name(tmp_path):
    (tmp_path / "golive.toml").mkdir()
    assert "is not a regular file" in refused(tmp_path)


def test_larger_than_a_megabyte(tree):
    assert "is larger than 1 MB" in refused(tree({"golive.toml": "#" * 1_000_001}))


def test_not_utf8(tree):
    checkout = tree({})
    (checkout / "golive.toml").write_bytes(b'name = "a"\n# caf\xe9\n')
    assert refused(checkout) == "golive.toml:2: is not UTF-8; save it as UTF-8"
    (checkout / "golive.toml").write_bytes(MINIMAL.encode("utf-16"))
    assert "UTF-16 is what some Windows editors save" in refused(checkout)


def test_windows_line_ends_and_a_byte_order_mark(tree):
    checkout = tree({"site/index.html": ""})
    (checkout / "golive.toml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    origins = {path: str(origin) for path, _, origin in load(checkout).resolved.leaves()}
    assert origins["services.web.source"] == "golive.toml:3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "{a=" * 50_000, "nested too deeply"),
        ("a" + ".a" * 400_000 + " = 1", "a key of more than 100 parts"),
        ("x = 1\n" + '"a" . ' * 100_000 + "b = 1", "golive.toml:2: a key of more than 100 parts"),
        ("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q = 1", "`a.b.c…` is nested more than 16 deep"),
        ("a = [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", "is nested more than 16 deep"),
        ("a = " + "9" * 9000, "not valid TOML"),
        ("a" * 900_000, "not valid TOML"),
        ("\0", "not valid TOML"),
        ("name = \x1b[31m", "not valid TOML"),
        ("\n".join(f"[environments.e{n}]" for n in range(60)), "more than 50 environments"),
    ],
    ids=[
        "arrays",
        "tables",
        "dots",
        "quoted dots",
        "17 keys",
        "18 lists",
        "digits",
        "word",
        "nul",
        "escape",
        "overlays",
    ],
)
def test_hostile_text_is_refused(tree, text, message):
    problems = refused(tree({"golive.toml": text}))
    assert message in problems
    assert "\x1b" not in problems and len(problems) < 2000


@pytest.mark.parametrize(
    "name", ["", "../x", "preview/../../x", "Prod", "a b", "preview/", "x" * 40, "a\n", "preview//x"]
)
def test_names_that_are_no_environment(tree, name):
    assert "is not the name of an environment" in refused(tree({"golive.toml": MINIMAL}), name)


def test_problems_are_in_the_order_of_the_file_and_survive_json(tree):
    checkout = tree({"golive.toml": 'x = 1\nname = 3\n[services.web]\nsource = "nope"\n'})
    with pytest.raises(BlueprintError) as raised:
        load(checkout)
    lines = [problem.line for problem in raised.value.problems]
    assert lines == sorted(lines) == [1, 2, 4]
    sent = raised.value.to_json()["problems"][0]
    assert sent["file"] == "golive.toml" and sent["path"] == "x" and sent["line"] == 1


POSITIONS = """\
# comment with = and [brackets]
a = 1
b.c = "x # y" # [no]
"quoted key" . 'd.e' = '''
multi = 1
'''

[t]
list = [
  1, # one
  "a, ]", [2,
  3], { x = 1, y = [5] },
]
text = \"\"\"a \\"\"\" b
[not.a.table]\"\"\"\"
[t.sub]
k = { p = 1, q.r = "}" }
[[rows]]
n = 1
[[rows]]
n = 2
[rows.inner]
m = 3
[[rows.deep]]
o = 4
[ "t" . spaced ]
z = 1979-05-27T07:32:00Z
"""


def test_positions():
    known = {key_path(path): line for path, line in line_index(POSITIONS).known.items()}
    assert known == {
        "a": 2,
        "b": 3,
        "b.c": 3,
        '"quoted key"': 4,
        '"quoted key"."d.e"': 4,
        "t": 8,
        "t.list": 9,
        "t.list[0]": 10,
        "t.list[1]": 11,
        "t.list[2]": 11,
        "t.list[2][0]": 11,
        "t.list[2][1]": 12,
        "t.list[3]": 12,
        "t.list[3].x": 12,
        "t.list[3].y": 12,
        "t.list[3].y[0]": 12,
        "t.text": 14,
        "t.sub": 16,
        "t.sub.k": 17,
        "t.sub.k.p": 17,
        "t.sub.k.q": 17,
        "t.sub.k.q.r": 17,
        "rows": 20,
        "rows[0]": 18,
        "rows[0].n": 19,
        "rows[1]": 20,
        "rows[1].n": 21,
        "rows[1].inner": 22,
        "rows[1].inner.m": 23,
        "rows[1].deep": 24,
        "rows[1].deep[0]": 24,
        "rows[1].deep[0].o": 25,
        "t.spaced": 26,
        "t.spaced.z": 27,
    } | {"rows": known["rows"]}


def test_every_value_of_a_document_has_a_position():
    text = "\n".join(line for line in POSITIONS.splitlines() if not line.startswith("z ="))
    document = parse_document(text)

    def paths(value, path=()):
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            yield (*path, key)
            yield from paths(child, (*path, key))

    missing = [key_path(path) for path in paths(document.data) if path not in document.lines.known]
    assert missing == []


def test_the_nearest_line_of_what_is_not_written():
    lines = line_index(POSITIONS)
    assert lines.nearest(("t", "sub", "k", "nope")) == (17, ("t", "sub", "k"))
    assert lines.nearest(("nope",)) == (1, ())
