"""What the tests of builds share: an app, and ways to write and look at folders."""

from __future__ import annotations

from pathlib import Path

from golive.home import Home

ASGI = """
import json, os

async def app(scope, receive, send):
    if scope["type"] == "http":
        body = json.dumps({"env": dict(os.environ), "uid": os.getuid(), "file": __file__}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def left_over(home: Home) -> list[str]:
    """What a failed build left in the store; it should be nothing."""
    places = (home.artifacts, home.layers)
    return sorted(path.name for place in places if place.exists() for path in place.iterdir())
