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
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import Unreadable, load_json, read
from golive.importers.places import folder_of
from golive.importers.report import Imported
from golive.importers.vercel_routes import Kind, modern

NAMES = ("next.config.js", "next.config.mjs", "next.config.cjs", "next.config.ts")
SERVICE = "web"
TIMEOUT = 20.0
"""Seconds; a configuration that takes longer is listed as not read."""
_MARK = "golive-next-config:"
_FRAMEWORK = "Next.js itself, which reads the file"

_SCRIPT = r"""
const deny = () => { throw new Error('golive: the network is off while next.config is read'); };
for (const [name, keys] of [['net', ['connect', 'createConnection', 'createServer']], ['tls', ['connect']],
  ['http', ['request', 'get']], ['https', ['request', 'get']], ['http2', ['connect']], ['dgram', ['createSocket']],
  ['dns', ['lookup', 'resolve']]]) {
  const module = require(name);
  for (const key of keys) module[key] = deny;
}
require('net').Socket.prototype.connect = deny;
globalThis.fetch = async () => deny();
require('module').syncBuiltinESMExports();
for (const key of ['log', 'info', 'debug']) console[key] = () => {};
const { pathToFileURL } = require('url');
const plain = (value, depth = 0) => {
  if (typeof value === 'function') return '[function]';
  if (value instanceof RegExp) return String(value);
  if (depth > 12) return '[deep]';
  if (Array.isArray(value)) return value.slice(0, 2000).map((item) => plain(item, depth + 1));
  if (value && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).slice(0, 2000).map(([key, item]) => [key, plain(item, depth + 1)]));
  return typeof value === 'bigint' || typeof value === 'symbol' ? String(value) : value;
};
(async () => {
  const loaded = await import(pathToFileURL(process.argv[1]).href);
  let config = loaded.default && loaded.default.default ? loaded.default.default : loaded.default || loaded;
  if (typeof config === 'function') config = await config('phase-production-build', { defaultConfig: {} });
  const made = { ...config };
  for (const key of ['redirects', 'rewrites', 'headers'])
    if (typeof made[key] === 'function') made[key] = await made[key]();
  process.stdout.write('\n' + process.argv[2] + JSON.stringify(plain(made)) + '\n', () => process.exit(0));
})().catch((error) => { process.stderr.write(String(error && error.message || error)); process.exit(3); });
"""


def import_next_config(checkout: Checkout, file: str) -> Imported:
    """Run the file under Node and import what it gives. Raises Unreadable when it cannot be run."""
    text = read(checkout, file)
    node = shutil.which("node")
    if node is None:
        raise Unreadable("was not read: node is not on this machine (Next.js itself reads it)")
    data = _evaluate(node, checkout.locate(file), text)
    return import_next(json.dumps(data), file)


def _evaluate(node: str, path: Path, text: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="golive-next-") as scratch:
        if path.suffix == ".ts":
            path = _plain_typescript(path, text, Path(scratch))
        command = [node, *_permissions(node), "-e", _SCRIPT, str(path), _MARK]
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": scratch, "NODE_ENV": "production", "CI": "1"}
        try:
            done = subprocess.run(
                command, cwd=path.parent, env=environment, capture_output=True, timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unreadable(f"was not read: it ran longer than {TIMEOUT:.0f} s") from None
    marked = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith(_MARK)]
    if done.returncode or not marked:
        raise Unreadable(f"was not read: {_reason(done.stderr)}")
    try:
        return json.loads(marked[-1].removeprefix(_MARK))
    except ValueError:
        raise Unreadable("was not read: what it gives is no configuration") from None


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
        raise Unreadable(f"was not read: {path.name} imports other files of the project (Next.js itself reads it)")
    made = scratch / "next.config.mjs"
    made.write_text(plain, encoding="utf-8")
    if (modules := path.parent / "node_modules").is_dir():
        (scratch / "node_modules").symlink_to(modules)
    return made


def _reason(stderr: bytes) -> str:
    line = next((row for row in stderr.decode("utf-8", "replace").splitlines() if row.strip()), "it failed")
    return "".join(c if c.isprintable() else " " for c in re.sub(r"(?:file://)?/\S+/", "", line))[:160]


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
    if base and node.get("basePath").value is not False:
        rule["source"] = base + rule["source"]
        if str(rule.get("destination", "")).startswith("/"):
            rule["destination"] = base + rule["destination"]
    if before:
        rule["before_files"] = True
    rules = node.ledger.proposal["services"][SERVICE].setdefault(kind, [])
    rules.append(rule)
    node.carry(f"services.{SERVICE}.{kind}[{len(rules) - 1}]")
