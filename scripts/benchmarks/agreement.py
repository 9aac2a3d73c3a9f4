"""Whether a vercel.json means the same to golive as to Vercel's own converter, over many requests."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golive.blueprint.models import BuildRecipe, Health, Service, ServiceKind
from golive.blueprint.path_pattern import BadPattern, Token, parse
from golive.blueprint.routing import Request, evaluate, rules_of
from golive.importers.ledger import Ledger
from golive.importers.vercel_routes import convert

PACKAGE, VERSION = "@vercel/routing-utils", "6.6.0"
PATHS = 24
_SCRIPT = Path(__file__).with_name("vercel_routes.cjs")
_WORDS = ("a", "blog", "Post-1", "x.y", "image.png", "index.html", "api", "42", "en", "über")


class ConverterMissing(Exception):
    """npm, node or the package is not to be had; the text says which."""


@dataclass
class Agreement:
    """Counts of requests. `differences` say file, path and both answers; `refused` are files Vercel itself refuses."""

    files: int = 0
    requests: int = 0
    same: int = 0
    refused: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def converter() -> Path:
    """The installed package, fetched once into the user's cache. Raises ConverterMissing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise ConverterMissing("node and npm are not on this machine")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "golive-bench" / "vercel-routing"
    package = cache / "node_modules" / PACKAGE
    manifest = package / "package.json"
    if not manifest.is_file() or json.loads(manifest.read_text())["version"] != VERSION:
        cache.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--prefix", str(cache), "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            done = subprocess.run([*command, f"{PACKAGE}@{VERSION}"], capture_output=True, timeout=180, check=False)
        except subprocess.TimeoutExpired:
            raise ConverterMissing(f"npm did not give {PACKAGE} within 3 minutes") from None
        if done.returncode or not manifest.is_file():
            raise ConverterMissing(f"npm did not give {PACKAGE} {VERSION}")
    return package


def compare(configs: dict[str, dict[str, Any]], package: Path) -> Agreement:
    """Every file's requests, asked of both."""
    cases = {name: list(requests_for(config, name)) for name, config in configs.items()}
    payload = [
        {"config": configs[name], "requests": [_as_json(r) for r in requests], "files": ["/image.png"]}
        for name, requests in cases.items()
    ]
    node = shutil.which("node") or "node"
    done = subprocess.run(
        [node, str(_SCRIPT)],
        input=json.dumps({"module": str(package), "cases": payload}),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = Agreement()
    for (name, requests), answers in zip(cases.items(), json.loads(done.stdout), strict=True):
        _count(found, name, configs[name], requests, answers)
    return found


def _count(found: Agreement, name: str, config: dict[str, Any], requests: list[Request], answers: Any) -> None:
    if isinstance(answers, dict):
        found.refused.append(f"{name}: {answers['error']}")
        return
    found.files += 1
    rules = rules_of(service_of(config))
    for request, theirs in zip(requests, answers, strict=True):
        outcome = evaluate(rules, request, ["/image.png"])
        ours = {"location": outcome.location, "status": outcome.status, "headers": dict(outcome.headers)}
        found.requests += 1
        if ours == theirs:
            found.same += 1
        else:
            found.differences.append(f"{name} {request}: golive {ours}, Vercel {theirs}")


def service_of(config: dict[str, Any]) -> Service:
    """The routing of a vercel.json alone, as a service has it."""
    root = Ledger("vercel.json", "vercel.json", config).root
    tables: dict[str, list[Any]] = {"redirects": [], "rewrites": [], "headers": []}
    for converted in convert(root):
        tables[converted.kind].append(converted.rule)
    return Service.model_validate(
        {
            "kind": ServiceKind.WEB,
            "build": BuildRecipe(),
            "health": Health(),
            "trailing_slash": config.get("trailingSlash"),
            "redirect_html": bool(config.get("cleanUrls")),
            **tables,
        }
    )


def requests_for(config: dict[str, Any], seed: str) -> Iterator[Request]:
    """At least `PATHS` requests: paths that fit each source, near misses, plain ones; with and without conditions."""
    chance = random.Random(seed)
    entries = [e for key in ("redirects", "rewrites", "headers", "routes") for e in _list(config.get(key))]
    conditions = [c for e in entries for side in ("has", "missing") for c in _list(e.get(side))]
    plain = ["/", "/about", "/about/", "/about.html", "/docs/index.html", "/image.png", "/.well-known/x", "/a/b/c.d/e"]
    paths = plain + [path for entry in entries for path in _fitting(entry, chance)]
    while len(paths) < PATHS:
        paths.append("/" + "/".join(chance.choices(_WORDS, k=chance.randint(1, 4))))
    for path in dict.fromkeys(paths):
        yield Request(path, "example.com")
        if conditions:
            yield _with_conditions(path, conditions, chance)
    for _ in range(PATHS - len(set(paths))):
        yield Request("/" + "/".join(chance.choices(_WORDS, k=5)) + str(chance.random()), "example.com")


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _fitting(entry: dict[str, Any], chance: random.Random) -> Iterator[str]:
    source = entry.get("source") or entry.get("src")
    if not isinstance(source, str):
        return
    for _ in range(3):
        path = _instance(source, chance)
        yield path
        yield chance.choice([path + "/", path.upper(), path + "/more", "/x" + path, path[:-1] or "/"])


def _instance(source: str, chance: random.Random) -> str:
    try:
        tokens = parse(re.sub(r"\(\?<\w+>|\(\?!", "(?:", source) if "src" in source else source)
    except BadPattern:
        return re.sub(r"\([^)]*\)|[\\^$*?+]", chance.choice(_WORDS), source)
    made = ""
    for token in tokens:
        made += token if isinstance(token, str) else _filled(token, chance)
    return made if made.startswith("/") else f"/{made}"


def _filled(token: Token, chance: random.Random) -> str:
    if token.modifier in ("?", "*") and chance.random() < 0.4:
        return ""
    literal = re.fullmatch(r"[\w|.-]+", token.pattern)
    count = chance.randint(1, 3) if token.modifier in ("*", "+") else 1
    words = [chance.choice(token.pattern.split("|") if literal else _WORDS) for _ in range(count)]
    if r"\d" in token.pattern:
        words = [str(chance.randint(1, 999))] * count
    return "".join(token.prefix + word + token.suffix for word in words)


def _with_conditions(path: str, conditions: list[dict[str, Any]], chance: random.Random) -> Request:
    tables: dict[str, dict[str, str]] = {"header": {}, "cookie": {}, "query": {}}
    host = "example.com"
    for condition in conditions:
        value = condition.get("value")
        text = re.sub(r"\(\?<\w+>([^)]*)\)", r"\1", value) if isinstance(value, str) else "yes"
        text = re.sub(r"\\(.)", r"\1", re.sub(r"\.[*+]|\\[dw][*+]?|\[[^\]]*\][*+]?", "7", text))
        if chance.random() < 0.3:
            continue
        if condition.get("type") == "host":
            host = text
        elif condition.get("type") in tables and condition.get("key"):
            key = str(condition["key"])
            tables[condition["type"]][key.lower() if condition["type"] == "header" else key] = text
    return Request(path, host, tables["header"], tables["cookie"], tables["query"])


def _as_json(request: Request) -> dict[str, Any]:
    return {
        "path": request.path,
        "host": request.host,
        "headers": dict(request.headers),
        "cookies": dict(request.cookies),
        "query": dict(request.query),
    }
