"""`[moves.<name>]`: which keys of a Redis become which rows of PostgreSQL, see `golive move`."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import ConfigDict, Field

from golive.blueprint.fields import Model

_COLUMN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
_PART = re.compile(r"\{([^{}]*)\}")


class MoveMap(Model):
    """One kind of key, and the table it becomes. The parts of the key are the table's primary key."""

    keys: str = Field(min_length=3, max_length=500, description="Such as `app:quota:{client}:{day}`; parts: columns.")
    table: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$",
        description="Made by a migration; empty when the move begins.",
    )
    kind: Literal["string", "hash", "json"] = Field("string", description="What a key holds; json: an object.")
    value: str | None = Field(None, pattern=_COLUMN, description="string: the column of the value.")
    fields: dict[str, str] = Field({}, description="hash and json: the column of each field.")
    expires: str | None = Field(None, pattern=_COLUMN, description="A timestamptz column for the time to live.")

    @property
    def parts(self) -> list[str]:
        return _PART.findall(self.keys)


class Move(Model):
    """Keys of a Redis that move to PostgreSQL while the app runs."""

    source: str = Field(alias="from", description="The Redis resource.")
    to: str = Field(description="The PostgreSQL resource.")
    switch: str = Field(description="A variable of the app: `redis` until the cut-over, then `postgres`.")
    map: tuple[MoveMap, ...] = Field(min_length=1, description="What becomes what.")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
