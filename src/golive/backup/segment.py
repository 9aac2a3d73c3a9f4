"""What a WAL segment says of itself: when the last transaction in it was committed. No I/O here.

The layout is PostgreSQL's since 9.5 (access/xlog_internal.h, xlogrecord.h, xact.h): pages of 8 KiB, each behind a
header, and records aligned to 8 bytes that go on over the pages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

PAGE = 8192
LONG, SHORT = 40, 24
"""Bytes of a page's header: the first of a segment, and the others."""
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_PAGE = struct.Struct("<HHIQI")
_RECORD = struct.Struct("<IIQBBxxI")
_TRANSACTION = 1
"""The resource manager of commits."""
_COMMITS = {0x00, 0x30}
"""Of one, and of one that was prepared."""
_SHORT_DATA, _LONG_DATA = 255, 254
_BEFORE_DATA = {253: 3, 252: 5}
"""Bytes of what may stand before a commit's own data: an origin, the transaction above."""


def last_commit(raw: bytes) -> datetime | None:
    """None when there is none in it. It may be cut off anywhere, and zeros may follow."""
    found = None
    for record in _records(raw):
        _, _, _, info, manager, _ = _RECORD.unpack_from(record)
        if manager == _TRANSACTION and info & 0x70 in _COMMITS and (data := _data(record)) is not None:
            found = EPOCH + timedelta(microseconds=struct.unpack_from("<q", data)[0])
    return found


def _records(raw: bytes) -> Iterator[bytes]:
    if len(raw) < LONG:
        return
    whole = b"".join(raw[at + (SHORT if at else LONG) : at + PAGE] for at in range(0, len(raw), PAGE))
    at = _aligned(_PAGE.unpack_from(raw)[4])  # the end of a record that began in the segment before
    while at + _RECORD.size <= len(whole):
        length = _RECORD.unpack_from(whole, at)[0]
        if length < _RECORD.size or at + length > len(whole):
            return
        yield whole[at : at + length]
        at = _aligned(at + length)


def _data(record: bytes) -> bytes | None:
    at = _RECORD.size
    while at < len(record) and record[at] in _BEFORE_DATA:
        at += _BEFORE_DATA[record[at]]
    if at + 10 <= len(record) and record[at] in (_SHORT_DATA, _LONG_DATA):
        at += 2 if record[at] == _SHORT_DATA else 5
        return record[at:] if at + 8 <= len(record) else None
    return None


def _aligned(at: int) -> int:
    return (at + 7) & ~7
