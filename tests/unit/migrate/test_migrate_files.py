from __future__ import annotations

from pathlib import Path

import pytest

from golive.errors import UsageError
from golive.migrate.files import discover, order_problems


def write(folder: Path, *names: str, text: str = "SELECT 1;") -> None:
    for name in names:
        (folder / name).write_text(text)


def test_every_way_of_numbering_is_read_in_numeric_order(tmp_path: Path) -> None:
    write(tmp_path, "10_ten.sql", "0009-nine.sql", "V8__eight.sql", "20240101120000_date.sql", "7_seven.up.sql")
    write(tmp_path, "7_seven.down.sql", "README.md", ".keep", text="DROP everything")
    assert [f.version for f in discover(tmp_path)] == [7, 8, 9, 10, 20240101120000]
    assert discover(tmp_path)[0].name == "7_seven.up.sql"


def test_the_checksum_does_not_know_windows(tmp_path: Path) -> None:
    (tmp_path / "1_a.sql").write_bytes(b"SELECT 1;\nSELECT 2;\n")
    (tmp_path / "2_b.sql").write_bytes(b"\xef\xbb\xbfSELECT 1;\r\nSELECT 2;\r\n")
    (tmp_path / "3_c.sql").write_bytes(b"SELECT 1;\nSELECT 3;\n")
    one, two, three = discover(tmp_path)
    assert one.checksum == two.checksum != three.checksum


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "001_a.sql", "1_b.sql", "002_ok.sql", "004_d.sql", "seed.sql", f"{'9' * 30}_x.sql")
    write(tmp_path, "005_open.sql", text="SELECT 1;\nSELECT 'open")
    (tmp_path / "006_latin.sql").write_bytes("SELECT 'é'".encode("latin-1"))
    (tmp_path / "007_nul.sql").write_bytes(b"SELECT 1;\0")
    (tmp_path / "008_dir.sql").mkdir()
    with pytest.raises(UsageError) as caught:
        discover(tmp_path)
    text = caught.value.what
    assert text.startswith("8 problems in the migrations:")
    for said in (
        "001_a.sql and 1_b.sql have the same number 1",
        "after number 2 comes 4",
        "seed.sql: the name has to begin with a number",
        "_x.sql: the number is too large",
        "005_open.sql:2: the quote ' is never closed",
        "006_latin.sql: not UTF-8 (byte 8)",
        "007_nul.sql: holds a NUL byte",
        "008_dir.sql: Is a directory",
    ):
        assert said in text
    assert caught.value.exit_code == 2


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as caught:
        discover(tmp_path / "nothing")
    assert caught.value.hint is not None and "migrations.source" in caught.value.hint
    assert discover(tmp_path) == ()


@pytest.mark.parametrize(
    ("versions", "problems"),
    [([1, 2, 3], 0), ([5, 6], 0), ([10, 20, 30], 0), ([1, 2, 4], 1), ([20240101, 20240102, 20240105], 0), ([], 0)],
)
def test_holes_count_only_in_sequences(versions: list[int], problems: int) -> None:
    assert len(order_problems([(v, f"{v}.sql") for v in versions])) == problems
