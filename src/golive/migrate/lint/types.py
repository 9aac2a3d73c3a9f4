"""Types and expressions: which change of a type rewrites a table, which default differs from row to row.

Rules: https://www.postgresql.org/docs/current/sql-altertable.html, and the sources of ATColumnChangeRequiresRewrite,
varchar_support, numeric_support and temporal's length coercions.
"""

from __future__ import annotations

import re
from typing import Any

from golive.migrate.lint.facts import Facts
from golive.migrate.lint.tree import Node, walk, words

_NAMES = {
    "int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real", "float8": "double precision",
    "bool": "boolean", "varchar": "character varying", "bpchar": "character", "varbit": "bit varying",
    "timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone",
    "timetz": "time with time zone", "time": "time without time zone", "decimal": "numeric",
}  # fmt: skip
_SERIAL = {"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"}
_WIDER = (("smallint", "integer", "bigint"), ("real", "double precision"))
_ALIKE = (("json", "jsonb"), ("character", "text"), ("character", "character varying"))
# Immutable or stable: one value for the whole statement, so that PostgreSQL stores it once.
_CALM = frozenset(
    [
        "now",
        "transaction_timestamp",
        "statement_timestamp",
        "current_setting",
        "timezone",
        "lower",
        "upper",
        "md5",
        "length",
        "coalesce",
        "concat",
        "format",
        "jsonb_build_object",
        "json_build_object",
        "jsonb_build_array",
        "json_build_array",
        "to_jsonb",
        "to_json",
        "array_fill",
        "date_trunc",
        "date_part",
        "extract",
        "to_timestamp",
        "to_char",
        "to_date",
        "make_date",
        "make_interval",
        "int4range",
        "tstzrange",
        "daterange",
        "round",
        "abs",
        "floor",
        "ceil",
        "trim",
        "btrim",
        "ltrim",
        "rtrim",
        "replace",
        "substring",
        "substr",
        "left",
        "right",
        "lpad",
        "rpad",
        "repeat",
        "encode",
        "decode",
        "age",
        "power",
        "mod",
        "greatest",
        "least",
        "nullif",
        "string_to_array",
        "array_to_string",
        "cardinality",
        "hashtext",
        "sha256",
        "overlay",
        "position",
    ]
)


def spelled(type_name: Node) -> tuple[str, tuple[int, ...]]:
    """The name as format_type has it, and its numbers: varchar(20) is ("character varying", (20,))."""
    name = words(type_name.get("names"))[-1]
    numbers = tuple(
        int(each["a_const"]["ival"].get("ival", 0))
        for each in type_name.get("typmods", ())
        if "ival" in each.get("a_const", {})
    )
    array = "[]" if type_name.get("array_bounds") else ""
    return _NAMES.get(name, name) + array, numbers


def split(text: str) -> tuple[str, tuple[int, ...]]:
    """The same of what format_type wrote."""
    match = re.fullmatch(r"(?P<base>[^(]+?)(?:\((?P<numbers>[\d,-]+)\))?(?P<rest>[^()]*)", text)
    if not match:
        return text, ()
    numbers = tuple(int(part) for part in match["numbers"].split(",")) if match["numbers"] else ()
    return (match["base"] + (match["rest"] or "")).strip(), numbers


def is_serial(type_name: Node) -> bool:
    return words(type_name.get("names"))[-1] in _SERIAL


def rewrites(old: str, new: tuple[str, tuple[int, ...]]) -> bool:
    """Whether the bytes of the rows change, or all have to be read."""
    base, numbers = split(old)
    to, wanted = new
    if (base, numbers) == (to, wanted):
        return False
    texts = ("character varying", "text")
    if base in texts and to in texts:
        return bool(wanted) and not (numbers and wanted[0] >= numbers[0])
    if base == to == "numeric":
        if not wanted:
            return False
        return not numbers or wanted[0] < numbers[0] or wanted[1:] != numbers[1:]
    if base == to and base.startswith(("timestamp", "time", "interval", "bit varying")):
        return bool(wanted) and not (numbers and wanted[0] >= numbers[0])
    return (base, to) != ("cidr", "inet")


def compatible(old: str, new: tuple[str, tuple[int, ...]]) -> bool | None:
    """Whether a program that knows the old type goes on; None: most do, with larger values one day they may not."""
    if not rewrites(old, new):
        return True
    base, to = split(old)[0], new[0]
    if any(base in row and to in row and row.index(base) < row.index(to) for row in _WIDER):
        return None
    return (
        None if (base, to) in (("json", "jsonb"), ("character", "text"), ("character", "character varying")) else False
    )


def volatile(expression: Any, facts: Facts) -> str | None:
    """The function that gives another value for each row, or may; None when there is none."""
    for key, node in walk([expression]):
        if key == "func_call":
            name = words(node.get("funcname"))[-1]
            if name not in _CALM and facts.functions.get(name, "v") == "v":
                return name
    return None
