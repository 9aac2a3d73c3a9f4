"""The pure parts of Node and Go builds: what is asked of installers, what their words mean, what pages load."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from golive.blueprint.models import BuildRecipe
from golive.build import go
from golive.build.artifact import Artifact, PageSize
from golive.build.bundle import check_budget, growth, measure
from golive.build.leaks import check_artifact, find_leaks
from golive.build.modules import generated, is_untouched, link_modules, stamp_modules
from golive.build.node_dependencies import NodeDependencies, approved_in_yaml, node_layer_key, read_node_dependencies
from golive.build.node_layer import (
    NodeLayerRequest,
    absent_optionals,
    explain,
    install_arguments,
    packages_with_scripts,
)
from golive.build.source import scan
from golive.build.toolchains import Toolchain
from golive.errors import BuildFailed
from golive.secret import Secret

NODE = Toolchain("node", "20.20.2", Path("/usr/bin"))


def write(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def read(folder: Path, files: dict[str, Any], inner: str = "", **recipe: Any) -> NodeDependencies:
    write(folder, files)
    return read_node_dependencies(scan(folder), BuildRecipe(builder="node", **recipe), inner)


def arguments(node: NodeDependencies, *, production: bool = False, complete: bool = True) -> list[str]:
    place = Path("/home/layers/x")
    return install_arguments(NodeLayerRequest("x", place, node, NODE, production, (), (), Path("/store"), {}, complete))


LOCKS: dict[str, tuple[dict[str, Any], str, str | None, list[str]]] = {
    "npm": ({"package-lock.json": "{}"}, "npm", None, ["ci"]),
    "npm without a lock": ({}, "npm", None, ["install", "--no-save"]),
    "pnpm 9 and later": (
        {"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"},
        "pnpm",
        "10",
        ["install", "--frozen-lockfile"],
    ),
    "pnpm 8": ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, "pnpm", "8", ["install", "--frozen-lockfile"]),
    "yarn classic": ({"yarn.lock": "# yarn lockfile v1\n"}, "yarn", "1", ["install", "--frozen-lockfile"]),
    "yarn berry": ({"yarn.lock": "__metadata:\n  version: 8\n"}, "berry", "4", ["install", "--immutable"]),
}


@pytest.mark.parametrize(("files", "manager", "version", "begins"), LOCKS.values(), ids=LOCKS)
def test_each_lock_file_is_installed_as_it_stands(
    tmp_path: Path, files: dict[str, Any], manager: str, version: str | None, begins: list[str]
) -> None:
    node = read(tmp_path, {"package.json": {"dependencies": {"a": "1"}}, **files})
    assert (node.manager, node.version) == (manager, version)
    asked = arguments(node)
    assert asked[: len(begins)] == begins
    assert "--ignore-scripts" in asked or "--mode=skip-build" in asked


def test_only_what_runs_is_installed_to_run(tmp_path: Path) -> None:
    files = {"package.json": {"devDependencies": {"a": "1"}}, "package-lock.json": "{}"}
    node = read(tmp_path, files)
    assert "--omit=dev" in arguments(node, production=True)
    assert "--include=dev" in arguments(node)
    assert node_layer_key(node, NODE, production=True) != node_layer_key(node, NODE, production=False)
    plain = read(tmp_path, {"package.json": {"dependencies": {"a": "1"}}})
    assert node_layer_key(plain, NODE, production=True) == node_layer_key(plain, NODE, production=False)


def test_the_package_managers_own_version_and_hash_are_kept(tmp_path: Path) -> None:
    named = {"packageManager": f"pnpm@9.1.0+sha512.{'a' * 128}", "dependencies": {"a": "1"}}
    node = read(tmp_path, {"package.json": named, "pnpm-lock.yaml": "lockfileVersion: '9.0'"})
    assert (node.manager, node.version, node.integrity) == ("pnpm", "9.1.0", f"sha512.{'a' * 128}")


BASE = {"package.json": {"name": "a", "dependencies": {"x": "1"}}, "package-lock.json": "{}", "main.js": ""}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"main.js": "changed"}, True),
        ({"package.json": {"name": "a", "dependencies": {"x": "1"}, "scripts": {"build": "x"}}}, True),
        ({"package.json": {"name": "a", "dependencies": {"x": "2"}}}, False),
        ({"package-lock.json": '{"lockfileVersion": 3}'}, False),
        ({".npmrc": "legacy-peer-deps=true"}, False),
        ({"patches/x.patch": "diff"}, False),
    ],
)
def test_a_layer_is_named_by_what_decides_it(tmp_path: Path, change: dict[str, Any], same: bool) -> None:
    before, after = read(tmp_path, BASE), read(tmp_path, BASE | change)
    assert (before.digest == after.digest) is same
    other = Toolchain("node", "22.20.0")
    assert node_layer_key(before, NODE, production=True) != node_layer_key(before, other, production=True)


@pytest.mark.parametrize(
    ("files", "approved"),
    [
        (
            {"package.json": {"allowScripts": {"esbuild@0.25.1": True, "@scope/x@1.2.3": True, "bad": False}}},
            ("@scope/x", "esbuild"),
        ),
        ({"package.json": {"pnpm": {"onlyBuiltDependencies": ["sharp"]}}}, ("sharp",)),
        ({"package.json": {"dependenciesMeta": {"bcrypt": {"built": True}, "no": {"built": False}}}}, ("bcrypt",)),
        ({"package.json": {}, "pnpm-workspace.yaml": "onlyBuiltDependencies:\n  - sqlite3\n"}, ("sqlite3",)),
        ({"package.json": {"allowScripts": ["not", "a", "table"]}}, ()),
    ],
)
def test_install_scripts_are_approved_by_the_project_alone(
    tmp_path: Path, files: dict[str, Any], approved: tuple[str, ...]
) -> None:
    assert read(tmp_path, files).approved == approved


def test_approvals_of_pnpms_workspace_file() -> None:
    text = "packages:\n  - apps/*\nallowBuilds:\n  esbuild: true\n  'core-js': false\n"
    text += 'onlyBuiltDependencies:\n  - "@swc/core"\n'
    assert list(approved_in_yaml(text)) == ["esbuild", "@swc/core"]


@pytest.mark.parametrize(
    ("files", "recipe", "words"),
    [
        ({"other.json": "{}"}, {}, "package.json does not exist"),
        ({"package.json": "{"}, {}, "package.json cannot be read"),
        ({"package.json": "[1]"}, {}, "it is not a JSON object"),
        ({"package.json": "[" * 200_000}, {}, "package.json cannot be read"),
        ({"package.json": "{}"}, {"dependencies": "yarn.lock"}, "the lock file yarn.lock does not exist"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, files: dict[str, Any], recipe: dict[str, Any], words: str) -> None:
    with pytest.raises(BuildFailed) as raised:
        read(tmp_path, files, **recipe)
    assert words in raised.value.what


INSTALLERS = {
    "npm ci and another manifest": (
        "npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync.",
        "does not agree with package.json",
    ),
    "pnpm and another manifest": (
        "ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with frozen-lockfile",
        "does not agree with package.json",
    ),
    "no network": (
        "npm error code ENOTFOUND\nnpm error network request failed",
        "the package registry does not answer",
    ),
    "a changed package": ("npm error code EINTEGRITY", "a package is not the one that the lock file names"),
    "no such package": ("npm error code E404\nnpm error 404 Not Found", "does not exist in the registry"),
    "no token": ("npm error code E401", "the registry refuses to give a package"),
    "anything else": ("npm error code EWHAT", "npm could not install package-lock.json"),
}


@pytest.mark.parametrize(("output", "words"), INSTALLERS.values(), ids=INSTALLERS)
def test_an_installers_words_become_one_sentence(tmp_path: Path, output: str, words: str) -> None:
    failure = explain(output, read(tmp_path, BASE))
    assert words in failure.what
    assert failure.log == output


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("go: go.mod requires go >= 1.30 (running go 1.26.8; GOTOOLCHAIN=local)", "needs Go 1.30, and this is 1.26.8"),
        ("main.go:3:2: missing go.sum entry for module providing package x", "does not agree with its go.sum"),
        ("go: x: Get ...: dial tcp: lookup proxy: no such host", "the module proxy does not answer"),
        ("./main.go:4:2: undefined: x", "the Go code of api does not compile"),
    ],
)
def test_gos_words_become_one_sentence(output: str, words: str) -> None:
    assert words in go.explain(output, "api", "1.26.8").what


def test_optional_packages_that_a_lock_file_lacks(tmp_path: Path) -> None:
    packages = {
        "": {},
        "node_modules/next": {"optionalDependencies": {"@next/swc-linux": "1", "@next/swc-darwin": "1"}},
        "node_modules/@next/swc-linux": {},
    }
    write(tmp_path, {"package-lock.json": {"packages": packages}, "broken.json": "{", "list.json": "[]"})
    assert absent_optionals(tmp_path / "package-lock.json") == ["@next/swc-darwin"]
    assert absent_optionals(tmp_path / "broken.json") == absent_optionals(tmp_path / "list.json") == []


def test_packages_with_install_scripts_are_found_where_npm_and_pnpm_put_them(tmp_path: Path) -> None:
    script = {"scripts": {"postinstall": "node x.js"}}
    write(
        tmp_path,
        {
            "node_modules/a/package.json": {"name": "a", **script},
            "node_modules/a/node_modules/b/package.json": {"name": "b", **script},
            "node_modules/@s/c/package.json": {"name": "@s/c", **script},
            "node_modules/.pnpm/d@1/node_modules/d/package.json": {"name": "d"},
            "node_modules/.pnpm/d@1/node_modules/d/binding.gyp": "{}",
            "node_modules/plain/package.json": {"name": "plain", "scripts": {"test": "x"}},
            "node_modules/broken/package.json": "{",
        },
    )
    assert sorted(packages_with_scripts(tmp_path)) == ["@s/c", "a", "b", "d"]


def test_linked_modules_share_files_and_what_is_added_is_seen(tmp_path: Path) -> None:
    layer, root = tmp_path / "layer", tmp_path / "root"
    write(
        layer, {"node_modules/a/index.js": "a", "apps/web/node_modules/b/index.js": "b", "node_modules/@s/c/c.js": "c"}
    )
    (layer / "node_modules/link").symlink_to("a")
    (root / "apps/web").mkdir(parents=True)
    link_modules(layer, root, ("", "apps/web", "apps/absent"), None)
    assert (root / "node_modules/a/index.js").samefile(layer / "node_modules/a/index.js")
    assert (root / "node_modules/link").readlink() == Path("a")
    assert (root / "apps/web/node_modules/b/index.js").exists()

    stamp = stamp_modules(layer)
    write(root, {"node_modules/.prisma/client.js": "x", "node_modules/.cache/y": "", "node_modules/@s/made/z.js": ""})
    assert generated(root, layer, ("", "apps/web")) == ("node_modules/.prisma", "node_modules/@s/made")
    assert is_untouched(layer, stamp)
    with (root / "node_modules/a/index.js").open("a") as file:
        file.write("changed")
    assert not is_untouched(layer, stamp)


def test_pages_of_a_front_end_and_what_they_load(tmp_path: Path) -> None:
    page = (
        '<script type=module src="/base/assets/app.js?v=1"></script><link rel="modulepreload" href="./assets/dep.js">'
    )
    other = '<script src="https://cdn.example.com/x.js"></script><script src=/assets/app.js></script>'
    write(
        tmp_path,
        {
            "index.html": page,
            "about.html": other,
            "plain/index.html": "<p>",
            "assets/app.js": "a" * 1000,
            "assets/dep.js": "b" * 500,
        },
    )
    pages = {p.route: p for p in measure(tmp_path, tmp_path, "vite")}
    packed = [len(gzip.compress(c * n, 6, mtime=0)) for c, n in ((b"a", 1000), (b"b", 500))]
    assert (pages["/"].raw, pages["/"].gzip, pages["/"].files) == (1500, sum(packed), ("app.js", "dep.js"))
    assert (pages["/about"].raw, pages["/plain/"].raw) == (1000, 0)
    assert measure(tmp_path / "plain", tmp_path / "plain", None) == ()


def test_a_budget_names_every_page_above_it() -> None:
    pages = [PageSize(route=route, raw=9, gzip=size) for route, size in (("/", 100), ("/big", 3000), ("/huge", 9000))]
    check_budget(pages, None, "web")
    check_budget(pages, 10_000, "web")
    with pytest.raises(BuildFailed) as raised:
        check_budget(pages, 1000, "web")
    assert raised.value.what == "2 pages load more JavaScript than 1.0 KB"
    assert raised.value.why == "gzipped: /huge 9.0 KB, /big 3.0 KB"
    assert growth(pages, pages[:1]) == {"/": 0, "/big": 3000, "/huge": 9000}


@pytest.mark.parametrize(
    "text",
    [
        "key = 'pässword/12+34'",
        "p%C3%A4ssword%2F12%2B34",
        "cMOkc3N3b3JkLzEyKzM0",
        "xxcMOkc3N3b3JkLzEyKzM0",
        "p\\u00e4ssword/12+34",
    ],
)
def test_a_secret_is_found_in_every_form_with_its_line(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"static/a.js": f"one\ntwo\n{text}\n", "b.js": "nothing"})
    (leak,) = find_leaks(tmp_path, {"PASSWORD": Secret("pässword/12+34"), "SHORT": Secret("one")})
    assert (leak.secret, leak.file.name, leak.line) == ("PASSWORD", "a.js", 3)


def test_only_what_browsers_get_is_searched(tmp_path: Path) -> None:
    write(
        tmp_path / "app",
        {".next/server/app/page.js": "secret-value", ".next/server/app/index.html": "ok", "server.js": "secret-value"},
    )
    artifact = Artifact(key="k", kind="node", path=tmp_path)
    check_artifact(artifact, {"S": Secret("secret-value")})
    write(tmp_path / "app", {".next/server/app/index.html": "<p>secret-value"})
    with pytest.raises(BuildFailed, match=r"S in \.next/server/app/index\.html, line 1"):
        check_artifact(artifact, {"S": Secret("secret-value")})
