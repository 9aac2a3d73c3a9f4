"""A Next.js application built with the real Next.js: traced where it asks for it, its pages measured and searched."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from building import build, lock, running, services, write

from golive.build.builder import Builder
from golive.build.bundle import growth
from golive.build.leaks import check_artifact
from golive.errors import BuildFailed
from golive.home import Home
from golive.secret import Secret

PLANTED = "planted-in-the-page-4711"
FILES = {
    "golive.toml": 'name = "web"\n[services.web]\n[env.NEXT_PUBLIC_NAME]\nclient = true\ndefault = "public"\n',
    "package.json": json.dumps({
        "name": "web",
        "private": True,
        "scripts": {"build": "next build", "start": "next start"},
        "dependencies": {"next": "16.4.5", "react": "19.3.1", "react-dom": "19.3.1"},
    }),
    "next.config.mjs": 'export default { output: "standalone" }\n',
    "app/layout.js": "export default function Layout({ children }) { return <html><body>{children}</body></html> }\n",
    "app/page.js": "export const dynamic = 'force-dynamic'\n"
    "export default function Page() { return <h1>{process.env.NEXT_PUBLIC_NAME} {process.env.RUN_TIME}</h1> }\n",
    "app/about/page.js": f"'use client'\nimport {{ useState }} from 'react'\nconst token = '{PLANTED}'\n"
    "export default function Page() { const [n, set] = useState(0)\n"
    "  return <button title={token} onClick={() => set(n + 1)}>{n}</button> }\n",
    "app/api/health/route.js": "export function GET() { return Response.json({ ok: true }) }\n",
    "public/robots.txt": "User-agent: *\n",
}  # fmt: skip


@pytest.mark.nightly  # half a minute on two cores; scripts/bench examples builds three
async def test_a_traced_server_is_built_measured_searched_and_started(
    builder: Builder, golive_home: Home, checkout: Path, tmp_path: Path
) -> None:
    write(checkout, FILES)
    lock(checkout)
    request = services(checkout)["web"]
    built, log = await build(builder, request)
    artifact = built.artifact
    assert (artifact.kind, artifact.argv, artifact.layer) == ("node", ("node", "server.js"), None)
    assert artifact.disk < 80 * 10**6
    assert "Telemetry" not in log

    async with running(artifact, tmp_path / "log", RUN_TIME="now") as ask:
        status, page = await asyncio.to_thread(ask, "/")
        assert (status, "now" in page) == (200, True)
        assert await asyncio.to_thread(ask, "/api/health") == (200, '{"ok":true}')
        assert await asyncio.to_thread(ask, "/robots.txt") == (200, "User-agent: *\n")
        script = page.split('src="/_next/')[1].split('"')[0]
        assert (await asyncio.to_thread(ask, f"/_next/{script}"))[0] == 200

    pages = {page.route: page for page in artifact.bundle}
    assert {"/", "/about"} <= set(pages)
    assert pages["/about"].raw > pages["/"].raw > 100_000
    assert pages["/"].gzip < pages["/"].raw / 2
    assert growth(artifact.bundle, [pages["/"]])["/"] == 0
    assert growth(artifact.bundle, [pages["/"]])["/about"] == pages["/about"].gzip

    with pytest.raises(BuildFailed, match=r"TOKEN in .*\.next/static/.*\.js, line \d+"):
        check_artifact(artifact, {"TOKEN": Secret(PLANTED), "OTHER": Secret("is-nowhere-at-all")})

    assert (await build(builder, request))[0].cached
    assert list(golive_home.cache.glob("node-builds/*/.next/cache"))


@pytest.mark.nightly
async def test_without_tracing_it_starts_with_its_packages_and_a_second_build_uses_what_the_first_left(
    builder: Builder, checkout: Path, tmp_path: Path
) -> None:
    write(checkout, {**FILES, "next.config.mjs": "export default {}\n"})
    lock(checkout)
    built, log = await build(builder, services(checkout)["web"])
    assert "Next.js runs with all its packages" in log
    assert "No build cache found" in log
    assert built.artifact.argv == ("next", "start", "-H", "127.0.0.1", "-p", "$PORT")
    async with running(built.artifact, tmp_path / "log", RUN_TIME="now") as ask:
        assert "now" in (await asyncio.to_thread(ask, "/"))[1]
        assert (await asyncio.to_thread(ask, "/about"))[0] == 200

    write(checkout, {"app/about/page.js": "export default function Page() { return <p>new</p> }\n"})
    again, log = await build(builder, services(checkout)["web"])
    assert (again.cached, again.layer_cached) == (False, True)
    assert "No build cache found" not in log
    check_artifact(again.artifact, {"TOKEN": Secret(PLANTED)})


@pytest.mark.nightly
async def test_a_traced_server_of_a_workspace(builder: Builder, checkout: Path, tmp_path: Path) -> None:
    write(checkout, {f"apps/web/{name}": text for name, text in FILES.items() if name != "golive.toml"})
    shared = {"name": "@mono/words", "version": "1.0.0", "type": "module", "main": "index.js"}
    manifest = json.loads(FILES["package.json"])
    manifest["dependencies"]["@mono/words"] = "*"
    write(
        checkout,
        {
            "golive.toml": 'name = "mono"\n[services.web]\nsource = "apps/web"\n',
            "package.json": json.dumps({"name": "mono", "private": True, "workspaces": ["apps/*", "packages/*"]}),
            "apps/web/package.json": json.dumps(manifest),
            "apps/web/app/api/health/route.js": "import { word } from '@mono/words'\n"
            "export function GET() { return Response.json({ word }) }\n",
            "packages/words/package.json": json.dumps(shared),
            "packages/words/index.js": "export const word = 'shared'\n",
        },
    )
    lock(checkout)
    built, _ = await build(builder, services(checkout)["web"])
    assert built.artifact.folder == "apps/web"
    async with running(built.artifact, tmp_path / "log") as ask:
        assert await asyncio.to_thread(ask, "/api/health") == (200, '{"word":"shared"}')
        assert await asyncio.to_thread(ask, "/robots.txt") == (200, "User-agent: *\n")
