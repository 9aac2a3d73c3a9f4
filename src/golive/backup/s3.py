"""Where backups are kept: a bucket of S3, or of what speaks its language (R2, B2, MinIO, SeaweedFS …).

    s3://bucket/folder?endpoint=https://…&region=eu-central-1&style=path

Larger files go up in parts, some at a time; nothing is there before the last part is, and what was begun is taken back
when the block fails. boto3 is loaded by the first use: only processes that work on backups pay for it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import re
import urllib.parse
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO, cast

from golive.backup.credentials import Credentials
from golive.backup.location import Entry, checked
from golive.backup.s3_faults import broken, explained, refused
from golive.errors import BackupFailed, UsageError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

PART = 16 << 20
"""Bytes of a part; S3 wants 5 MiB at least."""
GROWTH = 1000
"""Parts after which they grow by as much again: S3 takes 10,000 parts, which so hold 880 GB."""
AT_ONCE = 3
"""Parts on their way at a time: more than one, or each would wait for the answer to the one before."""
TRIES = 4
CONNECT, SILENCE = 5, 30
"""Seconds: to be let in, and without a byte from the other side."""
LEFT = timedelta(days=1)
"""Parts to which nothing was added for so long belong to an upload that was killed."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class S3:
    """See `Location`. `folder` is empty or ends without a slash; a custom `endpoint` is asked by path, not by name."""

    bucket: str
    folder: str
    endpoint: str | None
    region: str | None
    by_path: bool
    credentials: Credentials

    @classmethod
    def parse(cls, url: str, credentials: Credentials) -> S3:
        """UsageError when the URL is none of the form above."""
        parts = urllib.parse.urlsplit(url)
        given = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        endpoint = given.pop("endpoint", credentials.endpoint)
        style = given.pop("style", "path" if endpoint else "virtual")
        region = given.pop("region", credentials.region)
        folder = parts.path.strip("/")
        wrong = None
        if parts.username or parts.password:
            wrong = "credentials do not belong in it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        elif not _BUCKET.fullmatch(parts.netloc):
            wrong = f"{parts.netloc or 'nothing'} is no name of a bucket"
        elif given:
            wrong = f"it knows endpoint, region and style, not {next(iter(given))}"
        elif style not in ("path", "virtual"):
            wrong = f"style is path or virtual, not {style}"
        elif endpoint and urllib.parse.urlsplit(endpoint).scheme not in ("http", "https"):
            wrong = f"the endpoint {endpoint} does not begin with https://"
        if wrong:
            shown = url.replace(parts.netloc, parts.netloc.rpartition("@")[2]) if parts.netloc else url
            raise UsageError(
                f"{shown} is no place for backups",
                why=wrong,
                hint="write s3://bucket/folder, and ?endpoint=https://… for what is not AWS",
            )
        if folder:
            checked(folder, url)
        return cls(parts.netloc, folder, endpoint, region, style == "path", credentials)

    def __str__(self) -> str:
        below = f"/{self.folder}" if self.folder else ""
        return f"s3://{self.bucket}{below}" + (f" at {self.endpoint}" if self.endpoint else "")

    @contextlib.contextmanager
    def put(self, name: str) -> Iterator[BinaryIO]:
        upload = _Upload(self, self._key(name))
        try:
            yield cast(BinaryIO, upload)
            with explained(self, f"{name} cannot be written"):
                upload.finish()
        except BaseException:
            upload.abandon()
            raise

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        with explained(self, f"{name} cannot be read", missing=name):
            reading = _Reading(self, self._key(name))
        with io.BufferedReader(reading, 1 << 20) as file, explained(self, f"{name} cannot be read", missing=name):
            yield file

    def list(self, prefix: str, after: str = "") -> list[Entry]:
        below, cut = f"{self._key(prefix)}/", len(self.folder) + 1 if self.folder else 0
        found = []
        with explained(self, f"{prefix} cannot be listed"):
            paginate = client(self).get_paginator("list_objects_v2").paginate
            since = {"StartAfter": self._key(after)} if after else {}
            for page in paginate(Bucket=self.bucket, Prefix=below, **since):  # type: ignore[arg-type]  # all are str
                found += [Entry(one["Key"][cut:], one["Size"]) for one in page.get("Contents", ())]
        return sorted((entry for entry in found if not entry.name.endswith("/")), key=lambda entry: entry.name)

    def delete(self, name: str) -> None:
        with explained(self, f"{name} cannot be deleted"):
            client(self).delete_object(Bucket=self.bucket, Key=self._key(name))

    def sweep(self, prefix: str) -> int:
        begun = datetime.now(UTC) - LEFT
        count = 0
        with explained(self, f"{prefix} cannot be tidied"):
            pages = client(self).get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.bucket, Prefix=f"{self._key(prefix)}/"):
                for one in page.get("Uploads", ()):
                    if one["Initiated"] <= begun and self._last_part(one["Key"], one["UploadId"]) <= begun:
                        self._abort(one["Key"], one["UploadId"])
                        count += 1
        return count

    def _last_part(self, key: str, upload: str) -> datetime:
        pages = client(self).get_paginator("list_parts").paginate(Bucket=self.bucket, Key=key, UploadId=upload)
        times = [part["LastModified"] for page in pages for part in page.get("Parts", ())]
        return max(times, default=datetime.min.replace(tzinfo=UTC))

    def _abort(self, key: str, upload: str) -> None:
        client(self).abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)

    def _key(self, name: str) -> str:
        checked(name, str(self))
        return f"{self.folder}/{name}" if self.folder else name


class _Upload(io.RawIOBase):
    """A file that goes up while it is written; one that ends within its first part goes in a single request."""

    def __init__(self, place: S3, key: str) -> None:
        self._place, self._key = place, key
        self._pending = bytearray()
        self._id: str | None = None
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._parts: list[Future[str]] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pending += data
        with explained(self._place, f"{self._key} cannot be written"):
            while len(self._pending) > (count := self._next_size()):
                self._send(bytes(self._pending[:count]))
                del self._pending[:count]
        return len(data)

    def finish(self) -> None:
        body = bytes(self._pending)
        s3, bucket, key = client(self._place), self._place.bucket, self._key
        if self._id is None:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentMD5=_md5(body))
            self._size = len(body)
        else:
            self._send(body)
            parts: list[CompletedPartTypeDef] = [
                {"PartNumber": number, "ETag": part.result()} for number, part in enumerate(self._parts, 1)
            ]
            s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=self._id, MultipartUpload={"Parts": parts})
        self._pool.shutdown()
        # A server that answers "done" of a file that it has cut off was met.
        there = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        if there != self._size:
            s3.delete_object(Bucket=bucket, Key=key)
            raise BackupFailed(
                f"{self._place} says that {self._key} has {there} bytes, and {self._size} were sent",
                where=str(self._place),
                hint="backups made before stand; try again, and if it says so again, use another place",
            )

    def abandon(self) -> None:
        """Parts that are on their way are waited for: one that came after the end would stay for ever, and cost."""
        self._pool.shutdown(cancel_futures=True)
        if self._id is not None:
            with contextlib.suppress(broken(), refused()):  # if it cannot be reached now, `sweep` does it
                self._place._abort(self._key, self._id)

    def _next_size(self) -> int:
        return PART * (1 + len(self._parts) // GROWTH)

    def _send(self, body: bytes) -> None:
        if self._id is None:
            begun = client(self._place).create_multipart_upload(Bucket=self._place.bucket, Key=self._key)
            self._id = begun["UploadId"]
        if len(self._parts) >= AT_ONCE:
            self._parts[-AT_ONCE].result()
        self._parts.append(self._pool.submit(self._part, len(self._parts) + 1, body, self._id))
        self._size += len(body)

    def _part(self, number: int, body: bytes, upload: str) -> str:
        answer = client(self._place).upload_part(
            Bucket=self._place.bucket, Key=self._key, PartNumber=number, UploadId=upload, Body=body,
            ContentMD5=_md5(body),
        )  # fmt: skip
        return answer["ETag"]


class _Reading(io.RawIOBase):
    """A file as it comes down; a connection that breaks is taken up where it broke."""

    def __init__(self, place: S3, key: str) -> None:
        self._place, self._key = place, key
        self._at, self._tries = 0, TRIES
        self._tag: str | None = None
        self._begin()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            try:
                data = self._body.read(len(buffer))
            except broken():
                self._tries -= 1
                if not self._tries:
                    raise
                self._begin()
                continue
            buffer[: len(data)] = data
            self._at += len(data)
            self._tries = TRIES if data else self._tries
            return len(data)

    def close(self) -> None:
        if not self.closed:
            self._body.close()
        super().close()

    def _begin(self) -> None:
        s3, bucket, key = client(self._place), self._place.bucket, self._key
        if self._tag is None:
            answer = s3.get_object(Bucket=bucket, Key=key)
        else:
            answer = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={self._at}-", IfMatch=self._tag)
        self._body, self._tag = answer["Body"], answer["ETag"]


@functools.lru_cache(maxsize=4)
def client(place: S3) -> S3Client:
    """Usable by many threads. Its requests end: tried again a few times, with time-outs."""
    import boto3
    from botocore.config import Config

    with explained(place, "S3 cannot be used"):
        config = Config(
            connect_timeout=CONNECT,
            read_timeout=SILENCE,
            retries={"total_max_attempts": TRIES, "mode": "standard"},
            max_pool_connections=AT_ONCE + 5,
            s3={"addressing_style": "path" if place.by_path else "virtual"},
            # Content-MD5 is known to all; boto3's own trailing checksums are refused by many that are not AWS.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        known = place.credentials
        session = boto3.Session(
            aws_access_key_id=known.id,
            aws_secret_access_key=known.secret.reveal() if known.secret else None,
            aws_session_token=known.token.reveal() if known.token else None,
            region_name=place.region or "us-east-1",
        )
        return session.client("s3", endpoint_url=place.endpoint, config=config)


def _md5(body: bytes) -> str:
    """What S3 compares a body with; it is no seal, see `archive`."""
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
