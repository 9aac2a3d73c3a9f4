"""Lines as applications write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from golive.supervise.logline import LONGEST, parse

TIME = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MILLI = TIME.replace(microsecond=123000)


@pytest.mark.parametrize(
    ("raw", "time", "level"),
    [
        ('{"time": "2026-03-04T05:06:07.123Z", "level": "WARN", "msg": "x"}', MILLI, "warning"),
        ('{"ts": 1772600767.123, "level": 50}', MILLI, "error"),
        ('{"timestamp": 1772600767123, "severity": "Info"}', MILLI, "info"),
        ('{"@timestamp": 1772600767123000000, "level": 60}', MILLI, "critical"),
        ('{"time": 1772600767123000, "level": 10}', MILLI, "debug"),
        ("2026-03-04T05:06:07Z ERROR boom", TIME, "error"),
        ("2026-03-04 05:06:07,123+0000 [worker] DEBUG x", MILLI, "debug"),
        ("[2026-03-04 06:06:07 +0100] [12] [INFO] Booting", TIME, "info"),
        ("2026-03-04 05:06:07.123 UTC [42] FATAL:  no", MILLI, "critical"),
        ("2026-03-04T05:06:07.123456789Z x", TIME.replace(microsecond=123456), None),
        ('time="2026" level=error msg=x', None, "error"),
        ("INFO:     Application startup complete.", None, "info"),
        ("[error] nginx says", None, "error"),
        ("warning: deprecated", None, "warning"),
        ("Traceback (most recent call last):", None, "error"),
        ("GET /errors 200", None, None),
        ("an error here and INFORMATION there", None, None),
        ('{"time": "never", "level": null}', None, None),
        ('{"time": true}', None, None),
        ('{"time": 1e400}', None, None),
        ('{"time": -5}', None, None),
        ('{"time": {"a": 1}, "level": "x"}', None, "x"),
        ("{broken", None, None),
        ("[1, 2]", None, None),
        ("2026-13-99T99:99:99Z x", None, None),
        ("", None, None),
    ],
)
def test_time_and_level(raw: str, time: datetime | None, level: str | None) -> None:
    line = parse(raw.encode(), "web.1", None)
    assert (line.time, line.level, line.source) == (time, level, "web.1")


def test_a_time_that_cannot_be_its_own_gives_way() -> None:
    raw = b"2026-03-04T05:06:07Z x"
    assert parse(raw, "w", TIME + timedelta(seconds=1)).time == TIME
    written = TIME + timedelta(days=2)
    assert parse(raw, "w", written).time == written
    assert parse(b"x", "w", written).time == written


def test_control_characters_go() -> None:
    raw = b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07tab\there\x00\x08\r\n"
    assert parse(raw, "w", None).text == "red tab\there"
    assert parse(b"\xff\xfe ok", "w", None).text == "\ufffd\ufffd ok"


def test_giants_are_cut() -> None:
    line = parse(b"x" * 10_000_000, "w", None)
    assert line.text.startswith("x" * LONGEST)
    assert line.text.endswith("… (10000000 bytes)")
    assert len(line.text) < LONGEST + 50
    assert parse(b"[" * 60_000, "w", None).level is None
