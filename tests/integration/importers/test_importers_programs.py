"""Importers beside the programs they speak about: Node for next.config, Vercel's own converter for vercel.json."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from golive.blueprint.checkout import Checkout
from golive.importers.loading import Unreadable
from golive.importers.next_config import import_next_config

ROOT = Path(__file__).resolve().parents[3]
CORPUS = ROOT.parent / "shared" / "corpus" / "vercel.json"
sys.path.insert(0, str(ROOT / "scripts"))

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not on this machine")

HOSTILE = """
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { request } from 'node:http';
const held = [];
const attempt = async (name, run) => { try { await run(); } catch { held.push(name); } };
await attempt('write', () => writeFileSync('written', 'x'));
await attempt('fetch', () => fetch('http://127.0.0.1:9/'));
await attempt('connect', () => net.connect(9, '127.0.0.1'));
await attempt('request', () => request('http://127.0.0.1:9/'));
await attempt('spawn', async () => (await import('node:child_process')).execSync('id'));
console.log('noise');
export default { held, environment: Object.keys(process.env).filter((name) => /SECRET/.test(name)) };
"""


@needs_node
def test_next_config_is_read_by_running_it(tmp_path: Path) -> None:
    (tmp_path / "next.config.js").write_text(
        "module.exports = async (phase) => ({ output: 'export', basePath: '/docs', webpack: (c) => c,\n"
        "  async redirects() { return [{ source: '/a/:b', destination: '/c/:b', permanent: true }] },\n"
        "  async rewrites() { return { beforeFiles: [{ source: '/r', destination: '/s' }] } } });\n"
    )
    found = import_next_config(Checkout(tmp_path), "next.config.js")
    assert found.proposal["services"]["web"] == {
        "source": ".",
        "route": ["/docs"],
        "kind": "static",
        "redirects": [{"source": "/docs/a/:b", "destination": "/docs/c/:b"}],
        "rewrites": [{"source": "/docs/r", "destination": "/docs/s", "before_files": True}],
    }
    assert found.accounted == found.keys
    assert not found.lost


@needs_node
def test_what_next_serves_itself_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "next.config.ts").write_text(
        'import type { NextConfig } from "next";\nconst config: NextConfig = {\n  output: "standalone",\n'
        "  async headers() { return [{ source: '/(.*)', headers: [{ key: 'A', value: 'b' }] }] },\n"
        "  outputFileTracingRoot: __dirname,\n};\n"
        "export default config satisfies NextConfig;\n"
    )
    found = import_next_config(Checkout(tmp_path), "next.config.ts")
    assert found.proposal == {"services": {"web": {"source": "."}}}
    assert {entry.to for entry in found.carried} == {"Next.js itself, which reads the file"}
    assert found.accounted == found.keys == 5


@needs_node
def test_a_hostile_next_config_gets_no_network_no_processes_no_writing_and_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "x")
    (tmp_path / "next.config.mjs").write_text(HOSTILE)
    found = import_next_config(Checkout(tmp_path), "next.config.mjs")
    keys = [key for entry in found.carried for key in entry.keys]
    assert keys == ["held[0]", "held[1]", "held[2]", "held[3]", "held[4]", "environment"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["next.config.mjs"]


@needs_node
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("throw new Error('DATABASE_URL is missing at /srv/app/x.js')", "DATABASE_URL is missing at x.js"),
        ("import x from 'not-installed'; export default x", "not-installed"),
        ("process.exit(0)", "not read"),
        ("export default {", "not read"),
    ],
)
def test_a_next_config_that_fails_is_listed_as_not_read(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "next.config.mjs").write_text(text)
    with pytest.raises(Unreadable, match="was not read") as refusal:
        import_next_config(Checkout(tmp_path), "next.config.mjs")
    assert why in str(refusal.value)


@needs_node
def test_a_next_config_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("golive.importers.next_config.TIMEOUT", 1.0)
    (tmp_path / "next.config.mjs").write_text("setInterval(() => {}, 100); await new Promise(() => {});")
    with pytest.raises(Unreadable, match="longer than 1 s"):
        import_next_config(Checkout(tmp_path), "next.config.mjs")


def test_vercel_json_means_what_it_means_to_vercel() -> None:
    from benchmarks.agreement import ConverterMissing, compare, converter

    try:
        package = converter()
    except ConverterMissing as reason:
        pytest.skip(str(reason))
    cases = json.loads(Path(__file__).with_name("vercel_cases.json").read_text())
    if CORPUS.is_dir():
        cases |= {file.name: json.loads(file.read_text()) for file in sorted(CORPUS.iterdir())}
    found = compare(cases, package)
    assert found.refused == []
    assert found.differences == []
    assert found.files == len(cases)
    assert found.requests >= 20 * len(cases)


@pytest.mark.nightly  # scripts/bench import does the same
def test_every_file_of_the_corpus_imports() -> None:
    from benchmarks.imports import CORPUS as FILES
    from benchmarks.imports import KINDS, tally

    if not FILES.is_dir():
        pytest.skip("../shared/corpus is not there")
    for kind in KINDS:
        found = tally(kind)
        assert found.files
        assert found.tracebacks == []
        assert found.carried + found.lost == found.keys
        assert found.valid >= 0.95 * found.files, found.refused


PROJECT = {
    "next.config.ts": 'import type { NextConfig } from "next";\nimport "./src/env";\n'
    'import { base, type Base } from "@/base";\n'
    'const own: Base = base;\nconst config: NextConfig = {\n  output: "export",\n  basePath: own,\n'
    '  redirects: async () => [{ source: "/a", destination: "/b", permanent: true }],\n};\n'
    "export default config satisfies NextConfig;\n",
    "src/env.ts": "if (!process.env.SKIP_ENV_VALIDATION) throw new Error('DATABASE_URL');\nexport const env = {};\n",
    "src/base.ts": 'export type Base = string;\nexport const base: Base = "/docs";\n',
    "tsconfig.json": '{ // as Next.js writes it\n  "compilerOptions": { "paths": { "@/*": ["./src/*"] }, },\n}\n',
}
EXPORTED = {
    "source": ".",
    "route": ["/docs"],
    "kind": "static",
    "redirects": [{"source": "/docs/a", "destination": "/docs/b"}],
}


def project(folder: Path) -> Checkout:
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return Checkout(folder)


def test_a_next_config_of_several_files_is_read_by_a_node_that_knows_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playwright = pytest.importorskip("playwright")
    node = Path(playwright.__file__).parent / "driver/node"  # newer than the machine's often is
    if not node.is_file():
        pytest.skip("playwright's own node is not there")
    monkeypatch.setattr("golive.importers.next_config.nodes", lambda: [str(node)])
    found = import_next_config(project(tmp_path), "next.config.ts")
    assert found.proposal["services"]["web"] == EXPORTED


@needs_node
def test_a_next_config_of_several_files_is_read_with_the_projects_own_typescript(tmp_path: Path) -> None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "golive-bench" / "typescript"
    package = cache / "node_modules" / "typescript"
    npm = shutil.which("npm")
    if npm and not package.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        command = [
            npm,
            "install",
            "--prefix",
            str(cache),
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "typescript@5.9",
        ]
        subprocess.run(command, capture_output=True, timeout=180, check=False)
    if not package.is_dir():
        pytest.skip("npm does not give typescript")
    made = project(tmp_path)
    (tmp_path / "node_modules").symlink_to(package.parent)
    assert import_next_config(made, "next.config.ts").proposal["services"]["web"] == EXPORTED


@needs_node
def test_what_is_not_read_is_said_with_what_golive_then_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("golive.importers.next_config.nodes", lambda: [])
    with pytest.raises(Unreadable, match=r"node is not on this machine\. Its basePath, redirects are not carried over"):
        import_next_config(project(tmp_path), "next.config.ts")
    monkeypatch.undo()
    served = "import a from 'not-installed';\nexport default { async headers() { return [] } };\n"
    (tmp_path / "next.config.mjs").write_text(served)
    with pytest.raises(Unreadable, match=r"it needs `not-installed`, .*Next\.js obeys it all the same") as refusal:
        import_next_config(Checkout(tmp_path), "next.config.mjs")
    assert "route" not in str(refusal.value)
