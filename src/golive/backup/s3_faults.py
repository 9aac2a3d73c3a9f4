"""What went wrong with S3, said so that somebody can act on it: what stands, and what to do next."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from golive.backup.credentials import ID, SECRET, TOKEN
from golive.errors import BackupUntried, GoliveError, NotFound

if TYPE_CHECKING:
    from golive.backup.s3 import S3

STANDS = "what was there before stands as it was"
_ACTIONS = "s3:ListBucket, ListBucketMultipartUploads, GetObject, PutObject, DeleteObject and AbortMultipartUpload"
_REGION = ("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", "301")
_CLOCK = ("RequestTimeTooSkewed", "RequestExpired")
_KEY = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken")
_BUSY = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504")
_FULL = ("QuotaExceeded", "InsufficientStorage", "EntityTooLarge", "507", "XMinioStorageFull")


@contextlib.contextmanager
def explained(place: S3, what: str, missing: str | None = None) -> Iterator[None]:
    """BackupUntried for what boto3 raises in the block; NotFound when the file `missing` is."""
    try:
        yield
    except refused() as error:
        answer: dict[str, Any] = error.response
        said = answer.get("Error", {})
        status = str(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        raise _refusal(place, what, str(said.get("Code", "")), str(said.get("Message", "")), status, missing) from error
    except broken() as error:
        raise _broken(place, what, error) from error


def broken() -> type[Exception]:
    """What boto3 raises when no answer came, or none could be asked for."""
    from botocore.exceptions import BotoCoreError

    return BotoCoreError


def refused() -> Any:
    """What it raises when the answer was no."""
    from botocore.exceptions import ClientError

    return ClientError


def _refusal(place: S3, what: str, code: str, message: str, status: str, missing: str | None) -> GoliveError:
    if missing and code in ("NoSuchKey", "404", "NotFound"):
        return NotFound(
            f"{place} has no {missing}",
            where=str(place),
            hint="look whether bucket and folder are the right ones, and whether a rule of the bucket deletes files",
        )
    hint = f"mend that, then try again; {STANDS}"
    if code == "NoSuchBucket" or (code == "404" and not missing):
        hint = f"make the bucket {place.bucket}, or correct its name, endpoint or region; golive makes none by itself"
    elif code in _KEY:
        names = f"{ID} and {SECRET}" + (f" and {TOKEN}" if place.credentials.token else "")
        hint = f"correct {names}: they are no key that this server knows; {STANDS}"
    elif code in _CLOCK:
        hint = f"set this machine's clock: it is off by more than S3 takes; {STANDS}"
    elif code in _REGION:
        hint = f"give the bucket's region (?region=…); {STANDS}"
    elif code in _FULL:
        hint = f"raise the quota of the bucket, or keep fewer backups; {STANDS}"
    elif code in ("AccessDenied", "403", "AllAccessDisabled") or status == "403":
        hint = f"allow this key {_ACTIONS} on {place.bucket}; {STANDS}"
    elif code in _BUSY or status.startswith("5"):
        hint = f"it was asked several times; what golive does by itself is tried again; {STANDS}"
    elif code == "PreconditionFailed":
        hint = "somebody wrote it meanwhile; try again"
    return BackupUntried(
        f"{what} in {place}", where=str(place), why=f"it answered {message or 'no'} ({code or status})", hint=hint
    )


def _broken(place: S3, what: str, error: Exception) -> BackupUntried:
    from botocore import exceptions as known

    why = " ".join(str(error).split())
    hint = f"what golive does by itself is tried again; {STANDS}"
    if isinstance(error, known.NoCredentialsError | known.PartialCredentialsError):
        why = "it has no key to open it with"
        hint = f"set {ID} and {SECRET} (golive env set; for golive recover where it is run), or give the machine a role"
    elif isinstance(error, known.SSLError):
        hint = f"the server's certificate is not trusted here: look at the endpoint and its certificate; {STANDS}"
    elif isinstance(error, known.ProxyConnectionError):
        hint = f"look at HTTPS_PROXY and NO_PROXY of golive's daemon; {STANDS}"
    elif isinstance(error, known.ConnectTimeoutError | known.EndpointConnectionError):
        hint = f"look whether the endpoint is right and reachable from here; {hint}"
    elif isinstance(error, known.ProfileNotFound | known.ConfigParseError | known.InvalidRegionError):
        hint = "correct it, then try again"
    return BackupUntried(f"{what} in {place}", where=str(place), why=why, hint=hint)
