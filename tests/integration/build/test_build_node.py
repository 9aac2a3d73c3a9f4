"""Node services built with the real npm, and started from what was built."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from building import build, lock, registry, run_tool, running, services, write

from golive.build.builder import Builder
from golive.build.leaks import check_artifact
from golive.errors import BuildFailed
from golive.home import Home
from golive.secret import Secret
from golive.system import users
from golive.system.files import remove_tree

SERVER = """
const http = require("node:http"); const ms = require("ms")
http.createServer((q, r) => r.end(JSON.stringify({ ms: ms("1h"), env: process.env, generated: generated() })))
  .listen(process.env.PORT, "127.0.0.1")
function generated() { try { return require("./node_modules/.made/x.js") } catch { return null } }
"""
API = {"name": "api", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}, "scripts": {"start": "node server.js"}}
TOML = 'name = "shop"\n[services.api]\n'


def api(checkout: Path, **more: Any) -> None:
    write(checkout, {"golive.toml": TOML, "server.js": SERVER, "package.json": json.dumps({**API, **more})})
    lock(checkout)


async def test_a_plain_server_is_built_started_and_built_again_only_where_it_changed(
    builder: Builder, golive_home: Home, checkout: Path, tmp_path: Path
) -> None:
    api(checkout, devDependencies={"picocolors": "1.1.1"})
    built, log = await build(builder, services(checkout)["api"])
    assert "dependencies to run: package-lock.json" in log
    assert not (built.artifact.app / "node_modules/picocolors").exists()
    async with running(built.artifact, tmp_path / "log", SECRET="s") as ask:
        answer = json.loads((await asyncio.to_thread(ask, "/"))[1])
    assert answer["ms"] == 3600000
    assert (answer["env"]["NODE_ENV"], answer["env"]["SECRET"]) == ("production", "s")

    again, log = await build(builder, services(checkout)["api"])
    assert (again.cached, log.split(":")[0]) == (True, "unchanged")

    write(checkout, {"server.js": SERVER + "// changed\n"})
    changed, log = await build(builder, services(checkout)["api"])
    assert (changed.cached, changed.layer_cached) == (False, True)
    assert "unchanged, layer" in log
    assert changed.artifact.layer == built.artifact.layer
    assert len(list(golive_home.layers.iterdir())) == 1


async def test_a_version_newer_than_what_the_registry_said_before_is_asked_for(
    golive_home: Home, checkout: Path
) -> None:
    """Of a lock file with a package's other platforms left out, npm looks each version up again, in its cache first."""
    published: list[str] = []
    with registry("tea", published) as url:
        write(checkout, {".npmrc": f"registry={url}\n"})
        for version in ("1.0.0", "1.1.0"):
            published.append(version)
            written = {
                "": {"dependencies": {"tea": version}},
                "node_modules/tea": {"version": version, "optionalDependencies": {"tea-mac": "1"}},
            }
            write(
                checkout,
                {
                    "golive.toml": TOML,
                    "server.js": "require('http').createServer().listen(process.env.PORT)",
                    "package.json": json.dumps({**API, "dependencies": {"tea": version}}),
                    "package-lock.json": json.dumps({"name": "api", "lockfileVersion": 3, "packages": written}),
                },
            )
            built, log = await build(Builder(golive_home), services(checkout)["api"])
            assert ("asked again" in log) is (version == "1.1.0")
    manifest = json.loads((built.artifact.app / "node_modules/tea/package.json").read_text())
    assert manifest["version"] == "1.1.0"


async def test_what_the_build_generates_among_the_packages_is_there_to_run(
    builder: Builder, checkout: Path, tmp_path: Path
) -> None:
    make = "fs.mkdirSync('node_modules/.made'); fs.writeFileSync('node_modules/.made/x.js', 'module.exports = 42')"
    api(checkout, scripts={**API["scripts"], "postinstall": f'node -e "{make}"'})
    built, log = await build(builder, services(checkout)["api"])
    assert "$ npm run postinstall" in log
    async with running(built.artifact, tmp_path / "log") as ask:
        answer = json.loads((await asyncio.to_thread(ask, "/"))[1])
    assert (answer["generated"], answer["ms"]) == (42, 3600000)


async def test_a_build_that_writes_into_a_package_does_not_spoil_the_layer(builder: Builder, checkout: Path) -> None:
    spoil = "require('fs').appendFileSync('node_modules/ms/index.js', '// spoiled')"
    api(checkout, devDependencies={"picocolors": "1.1.1"}, scripts={**API["scripts"], "build": f'node -e "{spoil}"'})
    built, log = await build(builder, services(checkout)["api"])
    assert "the build changed files of its dependencies" in log
    assert "spoiled" not in (built.artifact.app / "node_modules/ms/index.js").read_text()
    write(checkout, {"server.js": SERVER + "//"})
    _, log = await build(builder, services(checkout)["api"])
    assert "dependencies to build and run: package-lock.json" in log


MONOREPO = {
    "golive.toml": 'name = "mono"\n[services]\nweb.source = "apps/web"\napi.source = "apps/api"\napi.route = "/api"\n',
    "package.json": json.dumps({"name": "mono", "private": True, "workspaces": ["apps/*", "packages/*"]}),
    "apps/web/package.json": json.dumps({
        "name": "web", "scripts": {"build": "vite build"}, "dependencies": {"@mono/ui": "*"},
        "devDependencies": {"vite": "7.3.8"},
    }),
    "apps/web/index.html": '<title>web</title><script type="module" src="/main.js"></script>',
    "apps/web/main.js": 'import { hi } from "@mono/ui"; document.title = hi(import.meta.env.VITE_NAME)',
    "apps/api/package.json": json.dumps({
        "name": "api", "type": "module", "scripts": {"start": "node server.js"},
        "dependencies": {"@mono/ui": "*", "ms": "2.1.3"},
    }),
    "apps/api/server.js": 'import http from "node:http"; import ms from "ms"; import { hi } from "@mono/ui"\n'
    'http.createServer((q, r) => r.end(hi(ms("1m")))).listen(process.env.PORT, "127.0.0.1")',
    "packages/ui/package.json": json.dumps({
        "name": "@mono/ui", "version": "1.0.0", "type": "module", "main": "dist/index.js",
        "scripts": {"build": "node -e \"require('fs').cpSync('src', 'dist', {recursive: true})\""},
    }),
    "packages/ui/src/index.js": "export const hi = name => `hi ${name}`",
}  # fmt: skip


@pytest.mark.nightly  # what is built when: unit tests
async def test_a_workspace_builds_shared_packages_first_and_siblings_never(
    builder: Builder, checkout: Path, tmp_path: Path
) -> None:
    write(checkout, MONOREPO)
    lock(checkout)
    web, log = await build(builder, services(checkout)["web"])
    assert log.index("$ npm run build  # in packages/ui") < log.index("vite v7")
    (page,) = web.artifact.bundle
    assert (page.route, len(page.files)) == ("/", 1)
    assert 0 < page.gzip < page.raw

    built, log = await build(builder, services(checkout)["api"])
    assert built.artifact.folder == "apps/api"
    async with running(built.artifact, tmp_path / "log") as ask:
        assert await asyncio.to_thread(ask, "/") == (200, "hi 60000")

    write(checkout, {"apps/web/main.js": 'document.title = "new"'})
    assert (await build(builder, services(checkout)["api"]))[0].cached
    assert not (await build(builder, services(checkout)["web"]))[0].cached
    write(checkout, {"packages/ui/src/index.js": "export const hi = name => `hello ${name}`"})
    assert not (await build(builder, services(checkout)["api"]))[0].cached


@pytest.mark.nightly  # so does tests/e2e/test_found_secrets.py
async def test_a_secret_in_a_front_end_is_found_with_its_file_and_line(builder: Builder, checkout: Path) -> None:
    files = {
        "golive.toml": 'name = "web"\n[services.web]\n',
        "package.json": json.dumps(
            {
                "name": "web",
                "scripts": {"build": "mkdir dist && cp index.html app.js dist"},
                "devDependencies": {"vite": "7.3.8"},
            }
        ),
        "index.html": "<script src=app.js></script>",
        "app.js": 'one()\nconst token = "c2VjcmV0LXZhbHVlLTEyMzQ1"\n',
    }
    write(checkout, files)
    lock(checkout)
    built, _ = await build(builder, services(checkout)["web"])
    check_artifact(built.artifact, {"OTHER": Secret("another-value-98765"), "SHORT": Secret("one")})
    with pytest.raises(BuildFailed) as raised:
        check_artifact(built.artifact, {"API_KEY": Secret("secret-value-12345")})
    assert raised.value.where == "app.js, line 2, column 16"
    assert "API_KEY in app.js, line 2" in raised.value.what
    assert "secret-value" not in str(raised.value.to_json())


@pytest.mark.nightly  # the budget itself is a unit test
async def test_a_page_above_the_budget_fails_the_build(builder: Builder, checkout: Path) -> None:
    files = {
        "golive.toml": 'name = "web"\n[services.web]\n[build]\nbundle_budget = "1KB"\n',
        "package.json": json.dumps(
            {
                "name": "web",
                "scripts": {"build": "mkdir dist && cp index.html app.js dist"},
                "devDependencies": {"vite": "7.3.8"},
            }
        ),
        "index.html": '<script src="/app.js"></script>',
        "app.js": "//" + os.urandom(4000).hex(),
    }
    write(checkout, files)
    lock(checkout)
    with pytest.raises(BuildFailed, match="1 page loads more JavaScript than"):
        await build(builder, services(checkout)["web"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs builds as another user")
async def test_where_golive_is_root_another_user_builds(
    builder: Builder, golive_home: Home, checkout: Path, tmp_path: Path
) -> None:
    who = "require('fs').writeFileSync('who.txt', String(process.getuid()))"
    api(checkout, devDependencies={"picocolors": "1.1.1"}, scripts={**API["scripts"], "build": f'node -e "{who}"'})
    golive_home.root.chmod(0o711)
    nobody = users.find("nobody")
    assert nobody is not None
    built, _ = await build(Builder(golive_home, user_for_build=nobody), services(checkout)["api"])
    assert (built.artifact.app / "who.txt").read_text() == str(nobody.uid)
    owners = {path.lstat().st_uid for path in built.artifact.path.rglob("*")}
    assert owners == {0}
    async with running(built.artifact, tmp_path / "log") as ask:
        assert (await asyncio.to_thread(ask, "/"))[0] == 200


FAILURES = {
    "a lock that disagrees": (
        lambda p: p["dependencies"].update({"picocolors": "1.1.1"}),
        "package-lock.json does not agree with package.json",
    ),
    "a failing build": (lambda p: p["scripts"].update({"build": "exit 4"}), "the build command of api exited with 4"),
    "a failing script of its own": (
        lambda p: p["scripts"].update({"postinstall": "exit 5"}),
        "the script postinstall of api exited with 5",
    ),
    "no such version": (lambda p: p.update({"engines": {"node": ">=99"}}), "no Node.js >=99 is on this machine"),
    "a version that is none": (
        lambda p: p.update({"engines": {"node": "soon"}}),
        "the Node.js version that is asked for cannot be read",
    ),
}


EVERY_TIME = ("a lock that disagrees", "a failing build")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param(*case, id=name, marks=[] if name in EVERY_TIME else [pytest.mark.nightly])
        for name, case in FAILURES.items()
    ],
)
async def test_failures_leave_nothing(
    builder: Builder, golive_home: Home, checkout: Path, change: Any, what: str
) -> None:
    api(checkout)
    data = json.loads((checkout / "package.json").read_text())
    change(data)
    write(checkout, {"package.json": json.dumps(data)})
    with pytest.raises(BuildFailed) as raised:
        await build(builder, services(checkout)["api"])
    assert what in raised.value.what
    assert list(golive_home.artifacts.iterdir() if golive_home.artifacts.exists() else []) == []


async def test_without_a_lock_file_it_is_said_that_the_build_cannot_be_repeated(
    builder: Builder, checkout: Path
) -> None:
    api(checkout)
    (checkout / "package-lock.json").unlink()
    built, log = await build(builder, services(checkout)["api"])
    assert "no lock file, so the next build may get other versions" in log
    assert (built.artifact.app / "node_modules/ms/package.json").exists()


async def test_install_scripts_are_named_and_not_run(builder: Builder, checkout: Path) -> None:
    api(checkout, dependencies={"ms": "2.1.3", "better-sqlite3": "12.4.1"})
    built, log = await build(builder, services(checkout)["api"])
    assert "install scripts not run: better-sqlite3" in log
    assert built.artifact.layer is not None
    assert not list(built.artifact.app.glob("node_modules/better-sqlite3/build/**/*.node"))


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("cli", "install", "extra"),
    [
        ("pnpm@10.13.1", ["install", "--lockfile-only"], {}),
        ("pnpm@9.15.9", ["install", "--lockfile-only"], {"packageManager": "pnpm@9.15.9"}),
        ("yarn@1.22.22", ["install", "--ignore-scripts"], {}),
        ("@yarnpkg/cli-dist@4.9.2", ["install"], {"packageManager": "yarn@4.9.2"}),
    ],
)
async def test_other_package_managers(
    builder: Builder, checkout: Path, tmp_path: Path, cli: str, install: list[str], extra: dict[str, str]
) -> None:
    scripts = {**API["scripts"], "build": "node -e 'require(`picocolors`)'"}
    api(checkout, devDependencies={"picocolors": "1.1.1"}, scripts=scripts, **extra)
    (checkout / "package-lock.json").unlink()
    (checkout / "yarn.lock").touch()
    if "pnpm" in cli:
        (checkout / "yarn.lock").unlink()
    settings = {"YARN_NODE_LINKER": "node-modules", "YARN_ENABLE_IMMUTABLE_INSTALLS": "false"}
    run_tool(["npx", "-y", cli, *install], checkout, **settings)
    remove_tree(checkout / "node_modules")
    built, log = await build(builder, services(checkout)["api"])
    assert "fetched, for this version once" in log
    assert not (built.artifact.app / "node_modules/picocolors").exists()
    async with running(built.artifact, tmp_path / "log") as ask:
        assert json.loads((await asyncio.to_thread(ask, "/"))[1])["ms"] == 3600000


@pytest.mark.nightly
async def test_a_node_that_the_machine_does_not_have_is_fetched(
    builder: Builder, checkout: Path, tmp_path: Path
) -> None:
    api(checkout, engines={"node": "^24"})
    built, log = await build(builder, services(checkout)["api"])
    assert "from the package index" in log
    async with running(built.artifact, tmp_path / "log") as ask:
        assert json.loads((await asyncio.to_thread(ask, "/"))[1])["ms"] == 3600000
