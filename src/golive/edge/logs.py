"""Rotation of the access log: access.log, access.log.1, access.log.2.gz and so on."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path


def rotate(log: Path, max_bytes: int, keep: int) -> bool:
    """Whether it was longer than `max_bytes` and has been renamed. Whoever writes it must then open it again.

    The newest old file stays uncompressed until the next time, because its writer may not be done with it.
    """
    if not log.exists() or log.stat().st_size <= max_bytes:
        return False
    numbered = [log.with_name(f"{log.name}.{n}.gz") for n in range(2, keep + 2)]
    for older, newer in zip(reversed(numbered), reversed(numbered[:-1]), strict=False):
        if newer.exists():
            newer.replace(older)
    first = log.with_name(f"{log.name}.1")
    if first.exists():
        _compress(first, numbered[0])
    log.replace(first)
    if keep < 1 or numbered[-1].exists():
        numbered[-1].unlink(missing_ok=True)
    return True


def _compress(source: Path, target: Path) -> None:
    beside = target.with_name(f".{target.name}.tmp")
    with source.open("rb") as plain, gzip.open(beside, "wb", compresslevel=6) as packed:
        shutil.copyfileobj(plain, packed)
    beside.chmod(0o600)
    beside.replace(target)
    source.unlink()
