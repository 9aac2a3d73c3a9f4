"""Durations, sizes and rates: what users write becomes exact values, and nothing else is taken."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from golive.units import Rate, duration, human_duration, human_size, size

SEEDS = range(30)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("7d", 604800), ("2w", 1209600), ("1.5h", 5400)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)
    assert duration(f" {text} ") == timedelta(seconds=seconds)


def test_numbers_are_seconds_and_timedeltas_pass() -> None:
    assert duration(90) == duration(90.0) == duration(timedelta(minutes=1.5))


@pytest.mark.parametrize("text", ["", "s", "5", "-5s", "5 s 3", "5y", "1h30", "1 2s", "five minutes", "1e3s", True])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like 250ms, 30s, 5m"):
        duration(text)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_duration_is_the_sum_of_its_parts(seed: int) -> None:
    choose = random.Random(seed)
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
    parts = [(unit, choose.randrange(1000)) for unit in units if choose.random() < 0.6] or [("s", 1)]
    text = choose.choice(["", " "]).join(f"{n}{unit}" for unit, n in parts)
    wanted = timedelta(milliseconds=sum(round(n * units[unit] * 1000) for unit, n in parts))
    assert abs(duration(text) - wanted) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "count"),
    [("512", 512), ("512MB", 512 * 10**6), ("1.5GiB", 3 * 2**29), ("1k", 1000), ("10 kib", 10240), ("2Mi", 2**21)],
)
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


def test_a_large_size_is_exact_to_the_byte() -> None:
    assert size("9007199254740993B") == 9007199254740993
    assert size(str(2**62 + 1)) == 2**62 + 1


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1XB", "1 2MB", "a few", True])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like 512MB or 1\.5GiB"):
        size(text)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_size_is_its_number_times_its_unit_in_any_letter_case(seed: int) -> None:
    choose = random.Random(seed)
    unit, factor = choose.choice([("B", 1), ("KB", 10**3), ("KiB", 2**10), ("MB", 10**6), ("GiB", 2**30)])
    number = choose.randrange(10**9)
    assert size(f"{number}{choose.choice([unit, unit.lower(), unit.upper()])}") == number * factor


@pytest.mark.parametrize(
    ("text", "rate"), [("100/min", Rate(100, 60)), ("5/day", Rate(5, 86400)), (" 10 / 30s", Rate(10, 30))]
)
def test_rates(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["100", "0/min", "5/", "5/fortnight", "-1/s", "5/0s", "1.5/s", "5/min/min"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 100/min, 5/day or 10/30s"):
        Rate.parse(text)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rate_reads_its_own_text(seed: int) -> None:
    choose = random.Random(seed)
    rate = Rate(choose.randrange(1, 10**6), choose.randrange(1, 10**6))
    assert Rate.parse(str(rate)) == rate


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (999_960, "1.0 MB"), (3.2e13, "32.0 TB")]
)
def test_sizes_for_people(count: float, text: str) -> None:
    assert human_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (-3, "0 ms"),
        (0.35, "350 ms"),
        (0.9996, "1.0 s"),
        (1.23, "1.2 s"),
        (59.97, "1 m 0 s"),
        (200, "3 m 20 s"),
        (3600, "1 h 0 m"),
        (7500, "2 h 5 m"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text
