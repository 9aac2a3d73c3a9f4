"""Background workers that the code itself shows: Celery, RQ, ARQ, BullMQ; parsed, never run."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.python_project import dependencies, parse

MAX_FILES = 400


@dataclass(frozen=True)
class Worker:
    """A worker service that `golive init` writes; `evidence` is the file that shows it."""

    name: str
    source: str
    command: str
    evidence: str


def find_workers(checkout: Checkout, folder: str) -> list[Worker]:
    """The workers of one folder."""
    listed = dependencies(checkout, folder)
    names = listed.names if listed else frozenset()
    found: list[Worker] = []
    if "celery" in names:
        found += _celery(checkout, folder)
    if "arq" in names:
        found += _arq(checkout, folder)
    if "rq" in names and "arq" not in names:
        found.append(
            Worker("worker", folder, "rq worker --url $REDIS_URL", join(folder, listed.evidence if listed else ""))
        )
    return [*found, *_node(checkout, folder)]


def _sources(checkout: Checkout, folder: str, marks: tuple[str, ...]) -> Iterator[tuple[str, ast.Module]]:
    files = [f for f in checkout.below(folder) if f.endswith(".py") and not re.search(r"(?:^|/)tests?[/_]", f)]
    for file in files[:MAX_FILES]:
        text = checkout.read(join(folder, file)) or ""
        if any(mark in text for mark in marks) and (tree := parse(checkout, join(folder, file))) is not None:
            yield file, tree


def _celery(checkout: Checkout, folder: str) -> Iterator[Worker]:
    for file, tree in _sources(checkout, folder, ("Celery(",)):
        name = next(_instances(tree, "Celery"), None)
        if name is None:
            continue
        module = _module(file)
        app = module if name in ("app", "celery") else f"{module}:{name}"
        yield Worker("worker", folder, f"celery -A {app} worker --loglevel info", join(folder, file))
        text = checkout.read(join(folder, file)) or ""
        if "beat_schedule" in text or "add_periodic_task" in text:
            state = "--schedule /tmp/celerybeat-schedule"
            yield Worker("beat", folder, f"celery -A {app} beat {state}", join(folder, file))
        return


def _instances(tree: ast.Module, class_: str) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            function = node.value.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if called == class_:
                yield node.targets[0].id


def _arq(checkout: Checkout, folder: str) -> Iterator[Worker]:
    for file, tree in _sources(checkout, folder, ("WorkerSettings",)):
        if any(isinstance(node, ast.ClassDef) and node.name == "WorkerSettings" for node in tree.body):
            yield Worker("worker", folder, f"arq {_module(file)}.WorkerSettings", join(folder, file))
            return


def _module(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def _node(checkout: Checkout, folder: str) -> Iterator[Worker]:
    """A queue's worker with a script of its own in package.json, or a plain file that makes one."""
    try:
        manifest = json.loads(checkout.read(join(folder, "package.json")) or "{}")
    except (ValueError, RecursionError):
        return
    tables = [manifest.get(key) for key in ("dependencies", "scripts")] if isinstance(manifest, dict) else []
    listed, scripts = (table if isinstance(table, dict) else {} for table in tables or [None, None])
    if not {"bull", "bullmq", "bee-queue", "agenda", "graphile-worker", "pg-boss"} & set(listed):
        return
    script = next(
        (name for name in ("worker", "start:worker", "worker:start", "workers", "queue") if name in scripts), None
    )
    if script:
        yield Worker("worker", folder, f"npm run {script}", join(folder, "package.json"))
        return
    for file in checkout.below(folder):
        if re.fullmatch(r"(?:src/|lib/|server/)?(?:workers?|queue/worker)(?:/index)?\.(?:js|mjs|cjs)", file):
            yield Worker("worker", folder, f"node {file}", join(folder, file))
            return
