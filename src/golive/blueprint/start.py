"""The start command of a Python web application, with the server that the project already depends on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
