"""PostgreSQL's own parser as plain dictionaries: a node is its kind and its fields.

postgast is loaded when the first statement is read, which is never in the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]


class Unreadable(ValueError):
    """PostgreSQL's parser does not take it; the message is its own."""


def parse(text: str) -> list[tuple[str, Node]]:
    """The statements of a text, as (kind, fields). Unreadable."""
    import postgast
    from google.protobuf.json_format import MessageToDict

    try:
        tree = MessageToDict(postgast.parse(text), preserving_proto_field_name=True)
    except postgast.PgQueryError as error:
        raise Unreadable(str(error)) from None
    return [kind(statement["stmt"]) for statement in tree.get("stmts", ()) if statement.get("stmt")]


def kind(node: Node) -> tuple[str, Node]:
    """A node is a dictionary of one key."""
    return next(iter(node.items()))


def walk(node: Any) -> Iterator[tuple[str, Node]]:
    """Every dictionary below, with the key it has."""
    if isinstance(node, list):
        for each in node:
            yield from walk(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, dict):
                yield key, value
            yield from walk(value)


def words(items: Any) -> list[str]:
    """The strings of a list of names: [{string: {sval: a}}] is ["a"]."""
    return [item["string"]["sval"] for item in items or () if "string" in item and "sval" in item["string"]]


def named(node: Node) -> tuple[str | None, str]:
    """Schema and name of a relation."""
    return node.get("schemaname"), str(node.get("relname", ""))


def pair(parts: list[str]) -> tuple[str | None, str]:
    """Schema and name out of `a.b` or `b`."""
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def column_of(expression: Node) -> str | None:
    """The name, when an expression is nothing but a column."""
    if "column_ref" not in expression:
        return None
    found = words(expression["column_ref"].get("fields"))
    return found[-1] if found else None
