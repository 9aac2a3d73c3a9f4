"""The environment variables that Python code reads, by its syntax tree: `os.environ`, `getenv`, pydantic settings."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

_HINTS = ("environ", "getenv", "BaseSettings", "decouple", "starlette.config", "env: ")
_MAPPINGS = ("Mapping", "dict", "Dict")
_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,80}")
_READERS = {"get", "pop", "getenv", "str", "int", "bool", "float", "url", "list", "json", "db", "cache"}
_LIBRARIES = {"environ": ("env",), "environs": ("env",), "decouple": ("config",), "starlette.config": ("config",)}


def reads_in_python(text: str) -> list[tuple[str, int]]:
    """Name and line of each read; nothing where the text is no Python that this version can parse."""
    if not any(hint in text for hint in _HINTS):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the user's code: an invalid escape
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return list(_Reads(tree).found())


class _Reads:
    """One module: what stands for the environment in it, and which of its classes are settings."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes = list(ast.walk(tree))
        self._names = set(_environs(self._nodes))
        self._callables = set(_callables(self._nodes))
        self._settings = _settings_classes(self._nodes)

    def found(self) -> Iterator[tuple[str, int]]:
        for node in self._nodes:
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and self._is_environ(node.value):
                yield from _constant(node.slice, node.lineno)
            elif isinstance(node, ast.Call) and self._reads(node.func):
                yield from _constant(node.args[0] if node.args else None, node.lineno)
            elif isinstance(node, ast.Call) and len(node.args) > 1 and self._is_environ(node.args[0]):
                yield from _constant(node.args[1], node.lineno)  # number(env, "NAME")
            elif isinstance(node, ast.ClassDef) and node.name in self._settings:
                yield from _fields(node, self._settings)

    def _is_environ(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Attribute):
            return node.attr == "environ" and isinstance(node.value, ast.Name) and node.value.id == "os"
        return isinstance(node, ast.Name) and node.id in self._names

    def _reads(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Name):
            return function.id in self._callables
        if not isinstance(function, ast.Attribute) or function.attr not in _READERS:
            return False
        owner = function.value
        if function.attr == "getenv":
            return isinstance(owner, ast.Name) and owner.id == "os"
        return self._is_environ(owner) or (isinstance(owner, ast.Name) and owner.id in self._callables)


def _environs(nodes: list[ast.AST]) -> Iterator[str]:
    """Names of `os.environ` in the module: imported, assigned whole (`env = dict(os.environ)`), or an argument."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (alias.asname or alias.name for alias in node.names if alias.name == "environ")
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_whole(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _argument_environs(node.args)


def _argument_environs(arguments: ast.arguments) -> Iterator[str]:
    """`def load(env: Mapping[str, str])`, `def load(values=os.environ)`"""
    positional = [*arguments.posonlyargs, *arguments.args]
    for argument in (*positional, *arguments.kwonlyargs):
        kind = argument.annotation
        if argument.arg in ("env", "environ") and isinstance(kind, ast.Subscript) and _base(kind.value) in _MAPPINGS:
            yield argument.arg
    pairs = list(zip(reversed(positional), reversed(arguments.defaults), strict=False))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    yield from (argument.arg for argument, default in pairs if _is_whole(default))


def _is_whole(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and node.args:
        node = node.args[0]
    return isinstance(node, ast.Attribute) and node.attr == "environ" and isinstance(node.value, ast.Name)


def _callables(nodes: list[ast.AST]) -> Iterator[str]:
    """`getenv` from os, and the reader that a library of settings is used by."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            if node.module == "os":
                yield from (alias.asname or alias.name for alias in node.names if alias.name == "getenv")
            yield from _LIBRARIES.get(node.module or "", ())
        elif isinstance(node, ast.Import):
            yield from (name for alias in node.names for name in _LIBRARIES.get(alias.name, ()))


def _constant(node: ast.expr | None, line: int) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
        yield node.value, line


def _settings_classes(nodes: list[ast.AST]) -> dict[str, ast.ClassDef]:
    """Classes that derive from pydantic's BaseSettings, also through one another."""
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    found: dict[str, ast.ClassDef] = {}
    while True:
        more = {c.name: c for c in classes if c.name not in found and any(_base(b) in found for b in c.bases)}
        more |= {c.name: c for c in classes if c.name not in found and "BaseSettings" in map(_base, c.bases)}
        if not more:
            return found
        found |= more


def _base(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _fields(settings: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[tuple[str, int]]:
    prefix = _prefix(settings, classes)
    for node in settings.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name = node.target.id
        if name.startswith("_") or name == "model_config" or "ClassVar" in ast.dump(node.annotation):
            continue
        if isinstance(node.annotation, ast.Name) and node.annotation.id in classes:
            continue  # settings of their own, read by their own names
        yield _alias(node.value) or (prefix + name).upper(), node.lineno


def _prefix(settings: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> str:
    """`env_prefix` of `model_config` or `class Config`, its own or inherited."""
    for node in settings.body:
        for inner in ast.walk(node) if isinstance(node, ast.Assign | ast.AnnAssign | ast.ClassDef) else ():
            value: ast.expr | None = None
            if isinstance(inner, ast.keyword):
                value = inner.value if inner.arg == "env_prefix" else None
            elif isinstance(inner, ast.Assign) and any(_base(target) == "env_prefix" for target in inner.targets):
                value = inner.value
            elif isinstance(inner, ast.Dict):
                value = next(
                    (v for k, v in zip(inner.keys, inner.values, strict=True) if _text(k) == "env_prefix"), None
                )
            if (text := _text(value)) is not None:
                return text
    parents = [classes[name] for base in settings.bases if (name := _base(base)) in classes and name != settings.name]
    return next((found for parent in parents if (found := _prefix(parent, classes))), "")


def _alias(value: ast.expr | None) -> str | None:
    """Of `Field(alias="X")`, `validation_alias`, the old `env`; the first of AliasChoices."""
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        if keyword.arg in ("alias", "validation_alias", "env"):
            given = keyword.value
            if isinstance(given, ast.Call) and given.args:
                given = given.args[0]
            if text := _text(given):
                return text.upper()
    return None


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
