"""What clients send, read and judged."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from golive.daemon import api
from golive.errors import UsageError

C = TypeVar("C", bound=api.Call)


async def call(kind: type[C], request: Request) -> C:
    """UsageError says what is wrong with it, and never repeats a value."""
    return parse(kind, await body(request))


async def body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise UsageError("the request is not JSON") from error
    if not isinstance(found, dict):
        raise UsageError("the request is not a JSON object")
    return found


def parse(kind: type[C], given: Any) -> C:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise UsageError("the request is not valid", why=problems) from error
