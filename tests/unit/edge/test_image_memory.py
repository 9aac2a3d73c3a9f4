"""Pictures that are kept in memory: until they are too old, within a bound."""

from __future__ import annotations

from golive.edge.image_store import Picture, Recent


def test_pictures_leave_when_they_are_old_or_there_is_no_room() -> None:
    recent = Recent(5000)
    big, small = Picture("WEBP", 100.0, bytes(2000)), Picture("WEBP", 50.0, b"x")
    recent.put(("policy", "/a", ""), big)
    recent.put(("policy", "/b", ""), small)
    assert recent.find(("policy", "/a", ""), 10) is big
    assert recent.find(("policy", "/a", "image/avif"), 10) is None
    recent.put(("policy", "/a", ""), big)
    assert recent.bytes < 5000, "one asked for in the same words is the same"

    recent.put(("policy", "/c", ""), small)
    assert recent.find(("policy", "/b", ""), 10) is None, "that was not asked for longest"
    assert recent.find(("policy", "/c", ""), 10) is small
    assert recent.find(("policy", "/c", ""), 50) is None, "it is too old"
    assert recent.find(("policy", "/a", ""), 50) is big

    recent.put(("policy", "/a", "image/webp" * 1000), small)
    assert recent.bytes == 0, "long words take room as well"
    recent.put(("policy", "/d", ""), small)
    assert recent.find(("policy", "/d", ""), 10) is small
