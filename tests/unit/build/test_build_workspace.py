"""A service of a workspace is made of its own folder and what it depends on, and not of its siblings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from golive.blueprint.node_project import is_member, workspace_patterns
from golive.build.source import Tree, scan
from golive.build.workspace import inner_of, packages_to_build, part_of_workspace

NODE = {
    "package.json": {"workspaces": ["apps/*", "packages/*"]},
    "package-lock.json": {},
    "tsconfig.base.json": {},
    "patches/x.patch": "",
    "apps/web/package.json": {"name": "web", "dependencies": {"@a/ui": "*", "react": "19"}},
    "apps/web/src/main.js": "web",
    "apps/web/src/esm/package.json": {"type": "module"},
    "apps/admin/package.json": {"name": "admin", "dependencies": {"@a/ui": "*"}},
    "apps/admin/main.js": "admin",
    "packages/ui/package.json": {
        "name": "@a/ui",
        "scripts": {"build": "tsc"},
        "devDependencies": {"@a/base": "workspace:*"},
    },
    "packages/ui/index.js": "ui",
    "packages/base/package.json": {"name": "@a/base", "scripts": {"build": "tsc"}},
    "packages/base/index.js": "base",
    "packages/lonely/package.json": {"name": "@a/lonely"},
    "packages/lonely/index.js": "lonely",
    "services/api/go.mod": "module api",
    "services/api/main.go": "package main",
}
GO = {
    "go.work": "go 1.24\n\nuse (\n\t./api\n\t./worker // background\n\t./shared\n)\n",
    "api/go.mod": "module example.com/api\n\nrequire (\n\texample.com/shared v0.0.0\n\tgithub.com/x/y v1.2.3\n)\n",
    "api/main.go": "package main",
    "worker/go.mod": "module example.com/worker\n",
    "worker/main.go": "package main",
    "shared/go.mod": "module example.com/shared\n\nreplace example.com/low => ../low\n",
    "shared/shared.go": "package shared",
    "low/go.mod": "module example.com/low\n",
    "low/low.go": "package low",
}
UV = {
    "pyproject.toml": '[tool.uv.workspace]\nmembers = ["services/*", "libs/*"]\n',
    "uv.lock": "version = 1",
    "services/api/pyproject.toml": '[project]\nname = "api"\ndependencies = ["Shop_Core>=1", "fastapi"]\n',
    "services/api/main.py": "api",
    "services/jobs/pyproject.toml": '[project]\nname = "jobs"\ndependencies = []\n',
    "services/jobs/main.py": "jobs",
    "libs/core/pyproject.toml": '[project]\nname = "shop-core"\n',
    "libs/core/core.py": "core",
}


@pytest.fixture
def tree_of(tmp_path: Path) -> Any:
    def make(files: dict[str, Any], inner: str, builder: str) -> Tree:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return part_of_workspace(scan(tmp_path), inner, builder)

    return make


def paths(tree: Tree) -> set[str]:
    return {entry.path for entry in tree.entries}


def test_a_node_service_sees_what_it_depends_on_and_what_belongs_to_all(tree_of: Any) -> None:
    seen = paths(tree_of(NODE, "apps/web", "node"))
    assert {
        "apps/web/src/main.js",
        "apps/web/src/esm/package.json",
        "packages/ui/index.js",
        "packages/base/index.js",
    } <= seen
    assert {"tsconfig.base.json", "patches/x.patch", "package-lock.json", "packages/lonely/package.json"} <= seen
    assert not seen & {"apps/admin/main.js", "packages/lonely/index.js", "services/api/main.go"}


@pytest.mark.parametrize(
    ("files", "inner", "builder", "changed", "rebuilds"),
    [
        (NODE, "apps/web", "node", "apps/web/src/main.js", True),
        (NODE, "apps/web", "node", "packages/ui/index.js", True),
        (NODE, "apps/web", "node", "packages/base/index.js", True),
        (NODE, "apps/web", "node", "tsconfig.base.json", True),
        (NODE, "apps/web", "node", "apps/admin/main.js", False),
        (NODE, "apps/web", "node", "apps/admin/package.json", False),
        (NODE, "apps/web", "node", "packages/lonely/index.js", False),
        (NODE, "apps/web", "node", "services/api/main.go", False),
        (GO, "api", "go", "shared/shared.go", True),
        (GO, "api", "go", "low/low.go", True),
        (GO, "api", "go", "worker/main.go", False),
        (GO, "worker", "go", "shared/shared.go", False),
        (UV, "services/api", "python", "libs/core/core.py", True),
        (UV, "services/api", "python", "services/jobs/main.py", False),
    ],
)
def test_only_its_own_files_and_shared_packages_change_a_service(
    tree_of: Any, files: dict[str, Any], inner: str, builder: str, changed: str, rebuilds: bool
) -> None:
    before = tree_of(files, inner, builder).digest
    content = files[changed]
    other = {**content, "description": "new"} if isinstance(content, dict) else content + "\n// changed"
    assert (tree_of({**files, changed: other}, inner, builder).digest != before) is rebuilds


def test_packages_are_built_before_those_that_need_them(tree_of: Any) -> None:
    assert packages_to_build(tree_of(NODE, "apps/web", "node"), "apps/web") == ("packages/base", "packages/ui")


def test_packages_that_need_each_other_end(tree_of: Any) -> None:
    base = {"name": "@a/base", "scripts": {"build": "tsc"}, "dependencies": {"@a/ui": "*"}}
    files = {**NODE, "packages/base/package.json": base}
    assert set(packages_to_build(tree_of(files, "apps/web", "node"), "apps/web")) == {"packages/base", "packages/ui"}


@pytest.mark.parametrize(
    ("workspace", "source", "inner"),
    [
        (None, "api", ""),
        (".", ".", ""),
        (".", "apps/web", "apps/web"),
        ("mono", "mono/apps/web", "apps/web"),
        ("a", "a/", ""),
    ],
)
def test_the_place_in_a_workspace(workspace: str | None, source: str, inner: str) -> None:
    assert inner_of(workspace, source) == inner


def test_a_workspace_that_does_not_hold_the_service() -> None:
    with pytest.raises(ValueError, match="web is not inside mono"):
        inner_of("mono", "web")


@pytest.mark.parametrize(
    ("folder", "patterns", "inside"),
    [
        ("apps/web", ["apps/*"], True),
        ("apps/web/deep", ["apps/*"], False),
        ("apps/web/deep", ["apps/**"], True),
        ("apps/old", ["apps/*", "!apps/old"], False),
        ("web", ["./web/"], True),
        ("", ["*"], False),
    ],
)
def test_members_by_glob(folder: str, patterns: list[str], inside: bool) -> None:
    assert is_member(folder, patterns) is inside


def test_patterns_of_both_kinds_of_workspace() -> None:
    assert list(workspace_patterns({"packages": ["a/*"]}, None)) == ["a/*"]
    pnpm = "packages:\n  - \"apps/*\"   # ours\n  - '!apps/old'\ncatalog:\n  - nothing\n"
    assert list(workspace_patterns(None, pnpm)) == ["apps/*", "!apps/old"]
    assert list(workspace_patterns(3, "packages: [a, 'b/*']")) == ["a", "b/*"]
