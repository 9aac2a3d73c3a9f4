"""What a Python folder says about itself: its dependencies, its version and its app object; nothing is imported."""

from __future__ import annotations

import ast
import json
import re
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.go_project import above
from golive.blueprint.node_project import is_member

FRAMEWORKS = ("fastapi", "starlette", "flask", "django")
ASGI_FRAMEWORKS = ("fastapi", "starlette", "asgi")
_APP_CLASSES = {("fastapi", "FastAPI"): "fastapi", ("starlette.applications", "Starlette"): "starlette"} | {
    ("flask", "Flask"): "flask",
    ("starlette", "Starlette"): "starlette",
}
_FACTORIES = ("create_app", "make_app", "get_app", "build_app")
_ENTRY_FILES = ("main.py", "app.py", "asgi.py", "wsgi.py", "server.py", "api.py", "application.py", "run.py")
_ENTRY_FILES_AND_PACKAGE = (*_ENTRY_FILES, "__init__.py")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
APP_NAMES = ("app", "application", "api", "asgi", "wsgi")


@dataclass(frozen=True)
class Dependencies:
    """What is installed. `file` is relative to the service's folder; a Pipfile's packages are in `extra` instead."""

    file: str | None
    evidence: str
    names: frozenset[str]
    extra: tuple[str, ...] = ()
    workspace: str | None = None
    """The root of the uv workspace whose lock file it is."""


@dataclass(frozen=True)
class App:
    """An app object in a source file: `module` as it is imported, `name` the object or its factory."""

    file: str
    module: str
    name: str
    framework: str
    factory: bool = False
    python_path: str | None = None


def dependencies(checkout: Checkout, folder: str) -> Dependencies | None:
    """The file that lists what is installed, and the normalised names in it."""
    present = set(checkout.below(folder))
    project = _toml(checkout.read(join(folder, "pyproject.toml")))
    listed = _project_names(project)
    if "uv.lock" in present:
        lock = _toml(checkout.read(join(folder, "uv.lock")))
        locked = {str(p.get("name", "")) for p in lock.get("package", []) if isinstance(p, dict)}
        return Dependencies("uv.lock", "uv.lock", frozenset(listed or locked))
    for name in ("poetry.lock", "pdm.lock", "Pipfile.lock"):
        if name in present:
            return Dependencies(name, name, _locked_names(checkout, folder, name) if name == "Pipfile.lock" else listed)
    if "requirements.txt" in present and not listed:
        return Dependencies("requirements.txt", "requirements.txt", _requirement_names(checkout, folder))
    if "project" in project and (root := uv_workspace(checkout, folder)):
        return Dependencies("uv.lock", "pyproject.toml", listed, workspace=root)
    if "project" in project or listed:
        return Dependencies("pyproject.toml", "pyproject.toml", listed)
    if "Pipfile" in present:
        packages = _table(_toml(checkout.read(join(folder, "Pipfile"))), "packages")
        wanted = tuple(name + (v if isinstance(v, str) and v != "*" else "") for name, v in packages.items())
        return Dependencies(None, "Pipfile", frozenset(map(_normal, packages)), wanted)
    return None


def uv_workspace(checkout: Checkout, folder: str) -> str | None:
    """The folder above with a uv.lock whose workspace this folder belongs to."""
    for root in above(folder):
        if root == folder or checkout.read(join(root, "uv.lock")) is None:
            continue
        data = _toml(checkout.read(join(root, "pyproject.toml")))
        table = _table(_table(_table(data, "tool"), "uv"), "workspace")
        globs = [glob for glob in table.get("members", []) if isinstance(glob, str)]
        globs += [f"!{glob}" for glob in table.get("exclude", []) if isinstance(glob, str)]
        inner = folder if root == "." else folder[len(root) + 1 :]
        return root if is_member(inner, globs) else None
    return None


def python_version(checkout: Checkout, folder: str) -> tuple[str, str] | None:
    """A version specifier and the file that asks for it."""
    for name, pattern in ((".python-version", r"(\d+(?:\.\d+)+)"), ("runtime.txt", r"python-(\d+(?:\.\d+)+)")):
        text = checkout.read(join(folder, name)) or ""
        if found := re.match(pattern, text.strip()):
            return _specifier(found[1]), name
    project = _toml(checkout.read(join(folder, "pyproject.toml")))
    asked = _table(project, "project").get("requires-python") or _poetry(project).get("python")
    if isinstance(asked, str) and asked.strip() not in ("", "*"):
        return _from_poetry(asked.strip()), "pyproject.toml"
    wanted = _table(_toml(checkout.read(join(folder, "Pipfile"))), "requires").get("python_version")
    return (_specifier(wanted), "Pipfile") if isinstance(wanted, str) else None


def find_apps(checkout: Checkout, folder: str) -> list[App]:
    """Every app object in the files where one is usually found, the likeliest first."""
    files = checkout.below(folder)
    entries = [f for f in files if _is_entry(f)]
    found: list[App] = []
    for file in sorted(entries, key=_likelihood):
        if (tree := parse(checkout, join(folder, file))) is not None:
            found += _apps_of(tree, file, files)
    return found


def django_app(checkout: Checkout, folder: str, *, asgi: bool) -> App | None:
    """The `application` of the wsgi or asgi module beside the settings that manage.py names."""
    files = checkout.below(folder)
    if "manage.py" not in files:
        return None
    text = checkout.read(join(folder, "manage.py")) or ""
    named = re.search(r"""DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""", text)
    package = named[1].split(".")[0] if named else ""
    kinds = ("asgi", "wsgi") if asgi else ("wsgi", "asgi")
    places = [f"{package}/{kind}.py" for kind in kinds] + [
        f for kind in kinds for f in files if re.fullmatch(rf"[a-z_]\w*/{kind}\.py", f)
    ]
    chosen = next((place for place in places if place in files), None)
    if chosen is None:
        return None
    kind = "asgi" if chosen.endswith("asgi.py") else "wsgi"
    return App(chosen, _module(chosen), "application", f"django-{kind}")


def parse(checkout: Checkout, path: str) -> ast.Module | None:
    """The file's syntax tree; None when it is missing or not Python this interpreter can read."""
    text = checkout.read(path)
    if text is None or len(text) > 500_000:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. invalid escapes: the project's business
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_entry(file: str) -> bool:
    *folders, name = file.split("/")
    if name not in _ENTRY_FILES_AND_PACKAGE or len(folders) > 2 or (name == "__init__.py" and not folders):
        return False
    return all(part.isidentifier() and part not in ("tests", "test", "docs", "examples") for part in folders)


def _likelihood(file: str) -> tuple[int, int, str]:
    *folders, name = file.split("/")
    return len([f for f in folders if f not in ("src", "app")]), _ENTRY_FILES_AND_PACKAGE.index(name), file


def _apps_of(tree: ast.Module, file: str, files: tuple[str, ...]) -> Iterator[App]:
    classes, modules = _imported(tree)
    path = _python_path(tree, file, files)
    module = _module(file.removeprefix("src/") if path == "src" else file)
    shown = ".:src" if path else None
    found: list[App] = []
    for statement in _top_level(tree.body):
        for name, value in assigned(statement):
            if framework := _framework_of(value, classes, modules):
                found.append(App(file, module, name, framework, python_path=shown))
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            made = _made_by(statement, classes, modules)
            if made and statement.name in _FACTORIES:
                found.append(App(file, module, statement.name, made, factory=True, python_path=shown))
            elif plain := _plain_interface(statement):
                found.append(App(file, module, statement.name, plain, python_path=shown))
    yield from sorted(found, key=lambda a: (a.framework in ("asgi", "wsgi"), a.factory, _rank(a.name)))


def _rank(name: str) -> int:
    return APP_NAMES.index(name) if name in APP_NAMES else len(APP_NAMES)


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.Try):
            yield from _top_level(statement.body)
        elif isinstance(statement, ast.If) and "__main__" not in ast.unparse(statement.test):
            yield from _top_level(statement.body + statement.orelse)


def _imported(tree: ast.Module) -> tuple[dict[str, str], dict[str, str]]:
    """Local name → framework for imported app classes, and local name → module for imported frameworks."""
    classes: dict[str, str] = {}
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if framework := _APP_CLASSES.get((node.module, alias.name)):
                    classes[alias.asname or alias.name] = framework
        elif isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
    return classes, modules


def assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement gives a value, and the value."""
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                yield target.id, statement.value
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        yield statement.target.id, statement.value


def _framework_of(value: ast.AST, classes: dict[str, str], modules: dict[str, str]) -> str | None:
    if not isinstance(value, ast.Call):
        return None
    if isinstance(value.func, ast.Name):
        return classes.get(value.func.id)
    if isinstance(value.func, ast.Attribute):
        module = ast.unparse(value.func.value)
        return _APP_CLASSES.get((modules.get(module, ""), value.func.attr))
    return None


def _made_by(function: ast.AST, classes: dict[str, str], modules: dict[str, str]) -> str | None:
    made = (_framework_of(node, classes, modules) for node in ast.walk(function))
    return next((framework for framework in made if framework), None)


def _plain_interface(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """ASGI and WSGI callables are known by their parameters' conventional names (PEP 3333, the ASGI specification)."""
    names = [argument.arg for argument in function.args.args]
    if isinstance(function, ast.AsyncFunctionDef) and names == ["scope", "receive", "send"]:
        return "asgi"
    if isinstance(function, ast.FunctionDef) and len(names) == 2 and names[1] == "start_response":
        return "wsgi"
    return None


def _python_path(tree: ast.Module, file: str, files: tuple[str, ...]) -> str | None:
    """`src` when the module belongs to a src layout: a package below it, or imports of its siblings by bare name."""
    parts = file.split("/")
    if parts[0] != "src" or "src/__init__.py" in files:
        return "." if parts[0] == "src" else None
    if len(parts) > 2:
        return "src"
    imports = {name.split(".")[0] for name in _absolute_imports(tree)}
    siblings = {f.split("/")[1].removesuffix(".py") for f in files if f.startswith("src/")}
    return "src" if imports & siblings and "src" not in imports else "."


def _absolute_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _module(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(requirements: Any) -> set[str]:
    """Package names, and `uvicorn` for `fastapi[standard]`, which brings it."""
    found: set[str] = set()
    for item in requirements if isinstance(requirements, list) else []:
        text = item.strip() if isinstance(item, str) else ""
        if match := _REQUIREMENT.match(text):
            found.add(_normal(match[0]))
            if re.match(r"fastapi\s*\[[^\]]*(standard|all)", text, re.IGNORECASE):
                found.add("uvicorn")
    return found


def _project_names(project: dict[str, Any]) -> frozenset[str]:
    return frozenset(_names(_table(project, "project").get("dependencies")) | set(map(_normal, _poetry(project))))


def _requirement_names(
    checkout: Checkout, folder: str, file: str = "requirements.txt", depth: int = 0
) -> frozenset[str]:
    lines = [line.split(" #")[0].strip() for line in (checkout.read(join(folder, file)) or "").splitlines()]
    found = _names([line for line in lines if not line.startswith(("#", "-"))])
    for line in lines:
        included = re.fullmatch(r"(?:-r|--requirement)[ =]?\s*([\w./-]+)", line)
        if included and depth < 5:
            beside = join(file.rpartition("/")[0] or ".", included[1])
            found |= _requirement_names(checkout, folder, beside, depth + 1)
    return frozenset(found)


def _locked_names(checkout: Checkout, folder: str, name: str) -> frozenset[str]:
    """The names in a Pipfile.lock, which stands beside a Pipfile or alone."""
    try:
        default = json.loads(checkout.read(join(folder, name)) or "{}").get("default", {})
    except (ValueError, AttributeError, RecursionError):
        return frozenset()
    return frozenset(map(_normal, default)) if isinstance(default, dict) else frozenset()


def _poetry(project: dict[str, Any]) -> dict[str, Any]:
    return _table(_table(_table(project, "tool"), "poetry"), "dependencies")


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _toml(text: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text or "")
    except (ValueError, RecursionError):
        return {}


def _specifier(version: str) -> str:
    return f"=={version}.*" if version.count(".") == 1 else f"=={version}"


def _from_poetry(asked: str) -> str:
    """Poetry's `^3.11` and `~3.11` as PEP 440 specifiers."""
    match = re.fullmatch(r"([\^~])(\d+)\.(\d+)(?:\.\d+)?", asked)
    if not match:
        return asked
    upper = f"{int(match[2]) + 1}.0" if match[1] == "^" else f"{match[2]}.{int(match[3]) + 1}"
    return f">={asked[1:]},<{upper}"
