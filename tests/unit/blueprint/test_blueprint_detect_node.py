"""What small Node checkouts say about themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from golive.blueprint.checkout import Checkout
from golive.blueprint.detect import detect_service
from golive.blueprint.node_routes import routes


def package(**more: Any) -> str:
    """A package.json; `uses` are its dependencies' names."""
    data = {"dependencies": dict.fromkeys(more.pop("uses", ()), "*"), **more}
    return json.dumps(data)


def found(tree: Any, files: dict[str, str], **given: Any) -> dict[str, Any]:
    detection = detect_service(Checkout(tree(files)), given)
    assert detection.faults == []
    return {".".join(map(str, path)): value for path, (value, _) in detection.values.items()}


def faults(tree: Any, files: dict[str, str], **given: Any) -> list[str]:
    detection = detect_service(Checkout(tree(files)), given)
    return [f"{'.'.join(map(str, f.path))}: {f.message} | {f.hint}" for f in detection.faults]


BUILD = {"build": "tool build"}
NEXT = package(uses=["next", "react"], scripts={"build": "next build", "start": "next start"})

STARTS = {
    "next start": ({"package.json": NEXT}, "next start -H 127.0.0.1 -p $PORT"),
    "next, traced": (
        {"package.json": NEXT, "next.config.mjs": "export default { output: 'standalone' }"},
        "node server.js",
    ),
    "next, tracing in a comment": (
        {"package.json": NEXT, "next.config.js": "module.exports = {\n  // output: 'standalone',\n}"},
        "next start -H 127.0.0.1 -p $PORT",
    ),
    "next, its traced server named": (
        {
            "package.json": package(uses=["next"], scripts={"start": "node .next/standalone/server.js"}),
            "next.config.ts": 'const c = { output: "standalone" }; export default c',
        },
        "node server.js",
    ),
    "next behind a server of its own": (
        {"package.json": package(uses=["next", "express"], scripts={"start": "NODE_ENV=production node server.mjs"})},
        "NODE_ENV=production node server.mjs",
    ),
    "express": (
        {"package.json": package(uses=["express"], scripts={"start": "node src/index.js"})},
        "node src/index.js",
    ),
    "nest": (
        {
            "package.json": package(
                uses=["@nestjs/core"], scripts={**BUILD, "start": "nest start", "start:prod": "node dist/main"}
            )
        },
        "node dist/main",
    ),
    "a watcher is no start": (
        {"package.json": package(uses=["express"], main="lib/app.js", scripts={"start": "nodemon lib/app.js"})},
        "node lib/app.js",
    ),
    "npx left out": (
        {"package.json": package(uses=["fastify"], scripts={"start": "npx fastify start app.js"})},
        "fastify start app.js",
    ),
    "a script before it": (
        {"package.json": package(uses=["koa"], scripts={"prestart": "node check.js", "start": "node app.js"})},
        "npm run start",
    ),
    "main": ({"package.json": package(uses=["ws"], main="server.js")}, "node server.js"),
    "a known file": ({"package.json": package(uses=["express"]), "server.js": ""}, "node server.js"),
    "nuxt": (
        {"package.json": package(uses=["nuxt"], scripts={"build": "nuxt build"})},
        "node .output/server/index.mjs",
    ),
    "astro as a server": (
        {"package.json": package(uses=["astro", "@astrojs/node"], scripts={"build": "astro build"})},
        "node ./dist/server/entry.mjs",
    ),
    "sveltekit as a server": (
        {"package.json": package(uses=["@sveltejs/kit", "@sveltejs/adapter-node"], scripts={"build": "vite build"})},
        "node build",
    ),
}


@pytest.mark.parametrize(("files", "command"), STARTS.values(), ids=STARTS)
def test_how_a_server_starts(tree: Any, files: dict[str, str], command: str) -> None:
    values = found(tree, files)
    assert (values["kind"], values["command"], values["build.builder"]) == ("web", command, "node")


PAGES = {
    "vite": ({"package.json": package(uses=["vite"], scripts=BUILD)}, "dist", False),
    "vite elsewhere": (
        {
            "package.json": package(uses=["vite"], scripts=BUILD),
            "vite.config.ts": "export default { build: { outDir: './www' } }",
        },
        "www",
        False,
    ),
    "vite with a router": ({"package.json": package(uses=["vite", "react-router-dom"], scripts=BUILD)}, "dist", True),
    "vite with a preview": (
        {"package.json": package(uses=["vite"], scripts={**BUILD, "start": "vite preview"})},
        "dist",
        False,
    ),
    "create-react-app": ({"package.json": package(uses=["react-scripts"], scripts=BUILD)}, "build", False),
    "next, exported": ({"package.json": NEXT, "next.config.js": 'module.exports = {output: "export"}'}, "out", False),
    "astro": ({"package.json": package(uses=["astro"], scripts=BUILD)}, "dist", False),
    "docusaurus": ({"package.json": package(uses=["@docusaurus/core"], scripts=BUILD)}, "build", False),
    "eleventy": ({"package.json": package(uses=["@11ty/eleventy"], scripts=BUILD)}, "_site", False),
    "nuxt generate": (
        {"package.json": package(uses=["nuxt"], scripts={"build": "nuxt generate"})},
        ".output/public",
        False,
    ),
}


@pytest.mark.parametrize(("files", "output", "spa"), PAGES.values(), ids=PAGES)
def test_front_ends_become_files(tree: Any, files: dict[str, str], output: str, spa: bool) -> None:
    values = found(tree, files)
    assert (values["kind"], values["build.output"], values.get("spa", False)) == ("static", output, spa)
    assert "command" not in values


def test_a_named_output_makes_any_build_a_front_end(tree: Any) -> None:
    values = found(tree, {"package.json": package(scripts=BUILD)}, build={"output": "public"})
    assert (values["kind"], values["build.command"]) == ("static", "npm run build")


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({".nvmrc": "v20.11\n"}, "20.11"),
        ({".nvmrc": "lts/iron"}, "lts/iron"),
        ({".node-version": "22.1.0"}, "22.1.0"),
        ({".tool-versions": "python 3.12\nnodejs 21.5.0\n"}, "21.5.0"),
        ({"package.json": package(main="a.js", uses=["ws"], engines={"node": ">=18 <23"})}, ">=18 <23"),
        (
            {"package.json": package(main="a.js", uses=["ws"], volta={"node": "20.10.0"}, engines={"node": ">=18"})},
            "20.10.0",
        ),
        ({"package.json": package(main="a.js", uses=["ws"], engines={"node": "*"})}, None),
        ({}, None),
    ],
)
def test_the_version_of_node(tree: Any, files: dict[str, str], version: str | None) -> None:
    base = {"package.json": package(main="a.js", uses=["ws"])}
    assert found(tree, {**base, **files}).get("build.node") == version


@pytest.mark.parametrize(
    ("files", "manager", "lock"),
    [
        ({"package-lock.json": "{}"}, "npm", "package-lock.json"),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'"}, "pnpm", "pnpm-lock.yaml"),
        ({"yarn.lock": "# yarn lockfile v1"}, "yarn", "yarn.lock"),
        ({}, "npm", None),
    ],
)
def test_the_package_manager(tree: Any, files: dict[str, str], manager: str, lock: str | None) -> None:
    values = found(tree, {"package.json": package(scripts=BUILD, uses=["vite"]), **files})
    assert (values["build.package_manager"], values.get("build.dependencies")) == (manager, lock)
    assert values["build.command"] == f"{manager} run build"


def test_two_lock_files_need_a_word(tree: Any) -> None:
    files = {"package.json": package(uses=["express"], main="a.js"), "yarn.lock": "#", "package-lock.json": "{}"}
    (fault,) = faults(tree, files)
    assert fault.startswith(
        "build.package_manager: more than one lock file in the checkout: package-lock.json, yarn.lock"
    )
    named = {**files, "package.json": package(uses=["express"], main="a.js", packageManager="yarn@4.5.0+sha512.aa")}
    assert found(tree, named)["build.dependencies"] == "yarn.lock"
    assert found(tree, files, build={"package_manager": "npm"})["build.dependencies"] == "package-lock.json"


def test_a_service_of_a_workspace(tree: Any) -> None:
    files = {
        "package.json": json.dumps({"workspaces": ["apps/*"], "engines": {"node": ">=22"}}),
        "package-lock.json": "{}",
        "apps/web/package.json": package(uses=["vite"], scripts=BUILD),
    }
    values = found(tree, files, source="apps/web")
    assert (values["build.workspace"], values["build.dependencies"], values["build.node"]) == (
        ".",
        "package-lock.json",
        ">=22",
    )


@pytest.mark.parametrize(
    ("files", "ready", "live"),
    [
        ({"app/api/health/route.ts": "", "app/api/ready/route.ts": ""}, "/api/ready", "/api/health"),
        ({"src/app/(ops)/healthz/route.js": ""}, "/healthz", None),
        ({"pages/api/health.ts": ""}, "/api/health", None),
        ({"app/health/[id]/route.ts": ""}, None, None),
    ],
)
def test_health_paths_of_next(tree: Any, files: dict[str, str], ready: str | None, live: str | None) -> None:
    values = found(tree, {"package.json": NEXT, **files})
    assert values.get("health.ready") == ({"path": ready} if ready else None)
    assert values.get("health.live") == ({"path": live} if live else None)


def test_health_paths_of_a_router(tree: Any) -> None:
    files = {
        "package.json": package(uses=["express"], main="a.js"),
        "a.js": "app.get('/readyz', ready)\napp.get(\"/livez\", f)",
    }
    values = found(tree, files)
    assert (values["health.ready"], values["health.live"]) == ({"path": "/readyz"}, {"path": "/livez"})


FAULTS = {
    "nothing says what it is": (
        {"package.json": package(scripts={"build": "make"})},
        "kind: cannot tell what package.json is: a build script, but no start script and no known framework",
    ),
    "with django": (
        {"package.json": NEXT, "requirements.txt": "django", "manage.py": ""},
        "build.builder: the checkout holds more than one application: python, node | choose with `build.builder`",
    ),
    "with go": (
        {"package.json": NEXT, "go.mod": "module a", "main.go": "package main\n\nfunc main() {}\n"},
        "build.builder: the checkout holds more than one application: go, node",
    ),
}


@pytest.mark.parametrize(("files", "words"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_decided_is_said(tree: Any, files: dict[str, str], words: str) -> None:
    assert any(fault.startswith(words) for fault in faults(tree, files))


def test_a_package_json_for_tools_does_not_make_django_a_node_application(tree: Any) -> None:
    files = {
        "package.json": package(scripts={"build": "tailwindcss -o out.css"}),
        "requirements.txt": "django\ngunicorn",
        "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")',
        "shop/wsgi.py": "",
    }
    assert found(tree, files)["build.builder"] == "python"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"scripts": 3, "dependencies": []}', "[" * 200_000, '{"name": 3, "main": {}}']
)
def test_a_broken_package_json_detects_nothing(tree: Any, text: str) -> None:
    detection = detect_service(Checkout(tree({"package.json": text})), {})
    assert [fault.path for fault in detection.faults] == [("kind",)]


def test_a_procfile_gives_commands(tree: Any) -> None:
    files = {
        "package.json": package(uses=["express"], scripts={"start": "node app.js"}),
        "Procfile": "web: node --max-old-space-size=200 app.js\nworker: node jobs.js\nrelease: npm run migrate\n",
    }
    detection = detect_service(Checkout(tree(files)), {})
    assert detection.values["command",] == ("node --max-old-space-size=200 app.js", "Procfile")
    assert detection.notes == ["Procfile: `release: npm run migrate` is not run; migrations go to `migrations`"]
    assert found(tree, files, kind="worker")["command"] == "node jobs.js"
    assert "command" not in found(tree, files, command="node other.js")


def test_npm_start_in_a_procfile_is_what_package_json_says(tree: Any) -> None:
    files = {"package.json": package(uses=["express"], scripts={"start": "node app.js"}), "Procfile": "web: npm start"}
    assert found(tree, files)["command"] == "node app.js"


@pytest.mark.parametrize(
    ("files", "paths"),
    [
        ({"a.js": "app.get('/health', ok)"}, ["/health"]),
        ({"a.js": "const r = express.Router(); r.get('/health', ok); app.use('/api', r)"}, ["/api/health"]),
        ({"a.js": "const r = Router(); r.get('/health', ok); app.use(r)"}, ["/health"]),
        ({"a.js": "const r = Router(); r.get('/health', ok); export default r"}, []),
        (
            {
                "a.ts": "import { health } from './routes/health.js'; app.use('/api', health)",
                "routes/health.ts": "export const health = Router()\nhealth.get('/health', ok)",
            },
            ["/api/health"],
        ),
        (
            {
                "a.js": "app.use('/api', require('./routes'))",
                "routes/index.js": "const router = express.Router()\nrouter.get('/health', ok)",
            },
            ["/api/health"],
        ),
        (
            {
                "a.js": "import health from './health.js'\nimport other from './other.js'\nimport odd from './odd.js'\n"
                "app.register(health)\napp.register(other, { prefix: '/x' })\napp.register(odd, { prefix: base })",
                "health.js": "export default async function (app) { app.get('/health', ok) }",
                "other.js": "export default async function (app) { app.get('/live', ok) }",
                "odd.js": "export default async function (app) { app.get('/ready', ok) }",
                "unused.js": "export default async function (app) { app.get('/readyz', ok) }",
            },
            ["/health", "/x/live"],
        ),
    ],
)
def test_routes_of_a_server_with_the_prefixes_of_their_routers(
    tree: Any, files: dict[str, str], paths: list[str]
) -> None:
    assert routes(Checkout(tree(files)), ".", None) == paths
