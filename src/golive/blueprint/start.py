"""Start commands: of a Python web application with the server it already depends on, and of a Node server."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from golive.blueprint.node_project import Project
from golive.blueprint.python_project import ASGI_FRAMEWORKS, App

# All listen on the loopback address only and trust the edge's forwarding headers.
ASGI_SERVERS: Mapping[str, str] = {
    "uvicorn": (
        "uvicorn {app} --host 127.0.0.1 --port $PORT --proxy-headers --forwarded-allow-ips 127.0.0.1 --no-server-header"
    ),
    "granian": "granian --interface asgi --host 127.0.0.1 --port $PORT {app}",
    "hypercorn": "hypercorn --bind 127.0.0.1:$PORT {app}",
    "daphne": "daphne --bind 127.0.0.1 --port $PORT --proxy-headers {app}",
}
WSGI_SERVERS: Mapping[str, str] = {
    "gunicorn": "gunicorn --bind 127.0.0.1:$PORT --workers 2 {app}",
    "granian": "granian --interface wsgi --host 127.0.0.1 --port $PORT {app}",
    "waitress": "waitress-serve --listen 127.0.0.1:$PORT {app}",
    "hypercorn": "hypercorn --bind 127.0.0.1:$PORT wsgi:{app}",
}
_FACTORIES = {
    "uvicorn": "{app} --factory",
    "granian": "--factory {app}",
    "waitress": "--call {app}",
    "gunicorn": "'{app}()'",
}
"""How each takes a function that makes the app; the others cannot."""
_ADDED = {"uvicorn": "uvicorn[standard]", "gunicorn": "gunicorn"}
"""`standard` brings the WebSocket protocol, which plain uvicorn lacks."""


def start_command(app: App, names: Collection[str]) -> tuple[str, str | None]:
    """The start command, and a server to install when none among the dependencies' names fits."""
    asgi = app.framework in ASGI_FRAMEWORKS or app.framework == "django-asgi"
    servers = ASGI_SERVERS if asgi else WSGI_SERVERS
    fitting = [name for name in servers if name in names and (name in _FACTORIES or not app.factory)]
    server = fitting[0] if fitting else "uvicorn" if asgi else "gunicorn"
    target = f"{app.module}:{app.name}"
    if app.factory:
        target = _FACTORIES[server].format(app=target)
    return servers[server].format(app=target), None if fitting else _ADDED[server]


NEXT_STANDALONE = "node server.js"
"""What Next.js writes with `output: "standalone"`; it listens on PORT and HOSTNAME."""
_NEXT_START = "next start -H 127.0.0.1 -p $PORT"
_FRAMEWORK_STARTS: Mapping[str, str] = {
    "nuxt": "node .output/server/index.mjs",
    "astro": "node ./dist/server/entry.mjs",
    "sveltekit": "node build",
}
_WATCHERS = re.compile(r"\b(nodemon|ts-node-dev|tsx watch|node --watch|next dev|vite( dev)?$|concurrently)\b")
_PREVIEWS = re.compile(r"\b(vite preview|serve|http-server|react-scripts start|vue-cli-service serve|ng serve)\b")
_MAINS = ("server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs", "src/server.js", "src/index.js")


def node_start(project: Project, *, standalone: bool = False, files: Collection[str] = ()) -> str | None:
    """The start command of a Node server, None when nothing says it.

    The script's own line rather than `npm start`: npm would stand between the app and its signals. A script with a
    `pre` beside it is left to npm, which runs both.
    """
    scripts = project.scripts
    name = next((n for n in ("start:prod", "start:production", "start") if _starts(scripts.get(n))), None)
    line = scripts[name] if name else ""
    if project.framework == "next" and (not line or re.search(r"\bnext start\b|\.next/standalone/", line)):
        return NEXT_STANDALONE if standalone else _NEXT_START
    if name and f"pre{name}" in scripts:
        return f"npm run {name}"
    if line:
        return re.sub(r"^(npx|yarn|pnpm exec|npm exec --) (?!run\b)", "", line.strip())
    if known := _FRAMEWORK_STARTS.get(project.framework or ""):
        return known
    main = project.data.get("main")
    if isinstance(main, str) and main.strip():
        return f"node {main.strip()}"
    found = next((file for file in _MAINS if file in files), None)
    return f"node {found}" if found else None


def _starts(line: str | None) -> bool:
    """Whether a script starts the app as it is in production."""
    return bool(line) and not _WATCHERS.search(str(line)) and not _PREVIEWS.search(str(line))
