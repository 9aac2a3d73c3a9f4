"""A folder of files under development, answered by the rules of a deploy: the same server and paths, nothing kept.

The index is made anew when it is older than a moment, so that a file saved now is in the next answer.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from golive.blueprint.models import Service
from golive.build.static import public_files
from golive.build.static_types import content_type
from golive.edge.connection import listen_tcp
from golive.edge.static_index import Index, urls
from golive.edge.static_server import Connection, Server
from golive.edge.static_store import Store
from golive.errors import BuildFailed

CONNECTIONS = 512
SHARE = 20
"""An index is used for this many times as long as it took to make: a big folder is not read for each request."""


class Folder(Store):
    """One folder, whatever release is asked for."""

    def __init__(self, folder: Path, service: Service) -> None:
        super().__init__(folder)
        self._service = service
        self._index: Index | None = None
        self._until = 0.0

    def release(self, key: str, now: float) -> Index | None:
        if now >= self._until:
            began = time.monotonic()
            self._index = self._read_folder()
            self._until = now + SHARE * (time.monotonic() - began)
        return self._index

    def _read_folder(self) -> Index | None:
        """None while there is no such folder."""
        try:
            files = {found.url: self._record(found.url, found.file) for found in public_files(self.artifacts)[0]}
        except (BuildFailed, OSError):
            return None
        records, redirects = urls(files, clean=self._service.clean_urls)
        return Index(self.artifacts, self._service.spa, records, redirects, files=self.artifacts)

    def _record(self, url: str, file: Path) -> dict[str, Any]:
        info = file.stat()
        return {
            "path": str(file.relative_to(self.artifacts)),
            "size": info.st_size,
            "type": content_type(url),
            "etag": f"{info.st_mtime_ns:x}-{info.st_size:x}-{info.st_ino:x}",
            "immutable": False,
            "variants": {},
        }


async def serve_folder(folder: Path, service: Service, port: int) -> asyncio.Server:
    """Answer on a loopback port. OSError when it is taken."""
    loop = asyncio.get_running_loop()
    server = Server(Folder(folder, service), loop, CONNECTIONS)
    return await loop.create_server(lambda: Connection(server), sock=listen_tcp(port))
