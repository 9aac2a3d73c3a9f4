"""Values as golive.toml writes them, and as what they are in the models: durations, sizes, rates, shares."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from golive.units import Allowance, Rate, duration, size


def duration_text(value: timedelta) -> str:
    """A duration as the file writes it, exact to the millisecond."""
    seconds = value.total_seconds()
    if not seconds:
        return "0s"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"


def _duration(value: Any) -> timedelta:
    try:
        parsed = duration(value)
    except OverflowError:
        raise ValueError("is longer than a duration can be") from None
    if parsed < timedelta(0):
        raise ValueError("must not be negative")
    return parsed


def _size(value: Any) -> int:
    try:
        parsed = size(value)
    except OverflowError:
        raise ValueError("is larger than a size can be") from None
    if not 0 < parsed < 2**63:
        raise ValueError("must be at least 1 byte and less than 8 EiB")
    return parsed


def _rate(value: Any) -> Rate:
    rate = value if isinstance(value, Rate) else Rate.parse(value)
    if rate.seconds < 1:
        raise ValueError(f"{value!r} is a rate over no time; write it like 100/min, 5/day or 10/30s")
    return rate


def _rate_text(rate: Rate) -> str:
    units = {1: "s", 60: "min", 3600: "hour", 86400: "day"}
    return f"{rate.count}/{units[rate.seconds]}" if rate.seconds in units else str(rate)


def _allowance(value: Any) -> Allowance:
    return value if isinstance(value, Allowance) else Allowance.parse(value)


def _percent(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(value.strip().removesuffix("%")) / (100 if value.strip().endswith("%") else 1)
    except ValueError:
        raise ValueError(f"{value!r} is not a share; write it like 70% or 0.7") from None


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": ["string", "number"], "examples": ["250ms", "30s", "5m", "1h30m"]}),
]
Size = Annotated[
    int, BeforeValidator(_size), WithJsonSchema({"type": ["string", "integer"], "examples": ["512MB", "1.5GiB"]})
]
RateText = Annotated[
    Rate,
    BeforeValidator(_rate),
    PlainSerializer(_rate_text),
    WithJsonSchema({"type": "string", "examples": ["100/min", "5/day"]}),
]
AllowanceText = Annotated[
    Allowance,
    BeforeValidator(_allowance),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["5/day", "1000/month"]}),
]
Share = Annotated[
    float,
    BeforeValidator(_percent),
    Field(gt=0, le=1),
    PlainSerializer(lambda v: f"{v * 100:g}%"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["70%", 0.7]}),
]


class Model(BaseModel):
    # Deferred: most models are only ever parts of the blueprint, and a validator of each would cost half a megabyte.
    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False, defer_build=True
    )
