"""`[release] canary` of golive.toml: how a new release gets its traffic bit by bit, and what stops it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from golive.blueprint.fields import Duration, Model, Share


def _factor(value: Any) -> Any:
    if value is False:
        return None
    if not isinstance(value, str):
        return value
    try:
        return float(value.strip().removesuffix("x"))
    except ValueError:
        raise ValueError(f"{value!r} is not a factor; write it like 1.5x") from None


Factor = Annotated[
    Annotated[float, Field(ge=1, le=100)] | None,
    BeforeValidator(_factor),
    PlainSerializer(lambda v: False if v is None else f"{v:g}x"),
    WithJsonSchema({"type": ["string", "number", "boolean"], "examples": ["1.5x", False]}),
]


class Canary(Model):
    """Steps of a release with `strategy = "canary"`. It goes on to the next one, and to everybody after the last, when
    the edge saw it do as well as the release before it did in the same time; else all traffic goes back."""

    steps: tuple[Share, ...] = Field(
        (0.05, 0.25, 0.5), min_length=1, max_length=20, description="Of new visitors; each more than the one before."
    )
    every: Duration = Field(timedelta(minutes=2), description="A step lasts at least this long.")
    requests: int = Field(
        100, ge=1, le=10**6, description="A step lasts until the new release has answered so many requests in it."
    )
    wait: Duration = Field(
        timedelta(minutes=10),
        description="Longest that a step waits for that many; with fewer it goes on if they were no worse.",
    )
    errors: Share = Field(
        0.01, description="How many more of its requests may fail than of the old release's in the same time."
    )
    slower: Factor = Field(
        1.5,
        description="How much longer than the old release's its 95th percentile may take; false: it is not looked at.",
    )

    @model_validator(mode="after")
    def _steps_rise(self) -> Canary:
        if any(abs(step * 100 - round(step * 100)) > 1e-9 or step >= 1 for step in self.steps):
            raise ValueError('`steps` are whole percents from 1% to 99%, such as ["5%", "25%", "50%"]')
        if any(a >= b for a, b in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError('`steps` have to rise, such as ["5%", "25%", "50%"]')
        return self

    @property
    def percents(self) -> tuple[int, ...]:
        return tuple(round(step * 100) for step in self.steps)
