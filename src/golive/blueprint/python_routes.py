"""Which paths a Python application answers: its own, and those of routers that its file includes; parsed, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.python_project import APP_NAMES, App, assigned, parse

_INCLUDES = ("include_router", "register_blueprint")
_ROUTERS = ("APIRouter", "Blueprint")


def health_paths(checkout: Checkout, folder: str, app: App) -> list[str]:
    """Constant GET paths of the app object, in the order of the files: its own, and those of the routers that its file
    includes. A router below a prefix that is not plainly written is left out: a wrong path would fail every deploy."""
    tree = parse(checkout, join(folder, app.file))
    if tree is None:
        return []
    own = [path for node in _calls(tree) if (path := _route_of(node, (app.name, *APP_NAMES)))]
    routers = [
        path for file, prefix in _included(checkout, folder, app, tree) for path in _of_router(checkout, file, prefix)
    ]
    return list(dict.fromkeys([*own, *routers]))


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _keyword(call: ast.Call, *names: str) -> str | None:
    """A constant keyword argument; "" when it is not given, None when it is not constant."""
    given = next((k.value for k in call.keywords if k.arg in names), None)
    if given is None:
        return ""
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None


def _included(checkout: Checkout, folder: str, app: App, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Files whose routers the app's file includes, and the prefix it gives them."""
    modules = _modules(tree, app)
    for loop in (node for node in ast.walk(tree) if isinstance(node, ast.For)):  # for part in (health, plans): …
        if isinstance(loop.target, ast.Name) and isinstance(loop.iter, ast.Tuple | ast.List):
            for item in loop.iter.elts:
                name = ast.unparse(item).split(".")[0]
                modules.setdefault(loop.target.id, []).extend(modules.get(name, []))
    for call in _calls(tree):
        if not (isinstance(call.func, ast.Attribute) and call.func.attr in _INCLUDES and call.args):
            continue
        prefix = _keyword(call, "prefix", "url_prefix")
        for module in modules.get(ast.unparse(call.args[0]).split(".")[0], []) if prefix is not None else []:
            base = join(folder, module.replace(".", "/"))
            file = next((f for f in (f"{base}.py", f"{base}/__init__.py") if checkout.read(f) is not None), None)
            if file:
                yield file, prefix or ""


def _modules(tree: ast.Module, app: App) -> dict[str, list[str]]:
    """Name → the modules it may stand for: `from a import b` is b of a, or the module a.b."""
    found: dict[str, list[str]] = {}
    package = app.module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.asname or alias.name.split(".")[0], []).append(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.level < 2:
            base = ".".join(filter(None, (package if node.level else "", node.module)))
            for alias in node.names:
                places = [f"{base}.{alias.name}".strip("."), base]
                found.setdefault(alias.asname or alias.name, []).extend(places)
    return found


def _of_router(checkout: Checkout, file: str, prefix: str) -> Iterator[str]:
    tree = parse(checkout, file)
    routers: dict[str, str | None] = {}
    for statement in tree.body if tree else ():
        for name, value in assigned(statement):
            if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in _ROUTERS:
                routers[name] = _keyword(value, "prefix", "url_prefix")
    for call in _calls(tree) if tree else ():
        if path := _route_of(call, tuple(routers)):
            own = routers.get(call.func.value.id) if _is_method(call) else None  # type: ignore[attr-defined]
            if own is not None:
                yield prefix + own + path


def _is_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)


def _route_of(call: ast.Call, owners: tuple[str, ...]) -> str | None:
    target = call.func
    if isinstance(target, ast.Attribute):
        owner = target.value.id if isinstance(target.value, ast.Name) else ""
        routed = target.attr in ("get", "route", "api_route", "head") and owner in owners
    else:
        routed = isinstance(target, ast.Name) and target.id == "Route"
    first = call.args[0] if routed and call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
