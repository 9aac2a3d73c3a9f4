"""Scripts in pages: which of them browsers run, and their hashes."""

from __future__ import annotations

from pathlib import Path

from golive.edge.inline_scripts import MOST, hashes, scripts

PAGE = b"""<!doctype html><script>let a = "1>0"</script><SCRIPT type="module" data-x='a>b'>
import x</SCRIPT ><script src="/a.js"></script><script async src=/b.js>ignored</script>
<script type="application/ld+json">{}</script><script type=text/javascript></script><p>script</p>
<script data-src="no">one</script>"""


def test_scripts_that_run_and_stand_in_the_page() -> None:
    assert scripts(PAGE) == [b'let a = "1>0"', b"\nimport x", b"", b"one"]


def test_a_release_lists_each_once_as_browsers_hash_them(tmp_path: Path) -> None:
    pages = tmp_path / "app/files/deep"
    pages.mkdir(parents=True)
    (pages / "a.html").write_bytes(b"<script>a\r\nb</script>")
    (pages.parent / "b.htm").write_bytes(b"<script>a\nb</script><script></script>")
    empty = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    lines = "'sha256-fhj3NzEbLcOy8mndeDlrA1HxT7Zu+oefdoyyMYGIPHg='"
    assert hashes(tmp_path / "app") == tuple(sorted((empty, lines)))


def test_too_many_are_none(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for number in range(MOST + 2):
        (tmp_path / f"files/{number}.html").write_text(f"<script>{number}</script>")
    assert hashes(tmp_path) == ()
    assert hashes(tmp_path / "nothing") == ()
