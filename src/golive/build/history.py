"""The git history of a checkout, read without git: nothing of the repository's settings is run, nothing is fetched."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST = 8 * 2**20
"""Bytes; larger files are data, not something written by hand."""


@dataclass(frozen=True)
class Repository:
    """`root` has the work tree, `folder` what git keeps (a worktree's own), `common` what all its worktrees share.

    `prefix` is the checkout's place below the root, with a trailing slash; "" where it is the root.
    """

    root: Path
    folder: Path
    common: Path
    prefix: str

    @property
    def shallow(self) -> bool:
        """Whether the clone was cut off, so that older commits are not here."""
        with contextlib.suppress(OSError):
            return (self.common / "shallow").stat().st_size > 0
        return False

    def stamp(self) -> str:
        """Another one when a branch, a tag or HEAD has moved."""
        total = hashlib.sha256(self.prefix.encode())
        loose = sorted(path for path in self.common.glob("refs/**/*") if path.is_file())
        files = (self.folder / "HEAD", self.common / "packed-refs", self.common / "shallow")
        for path in (*files, *loose, *sorted(self.common.glob("reftable/*"))):
            with contextlib.suppress(OSError):
                total.update(b"%s\0%s\0" % (bytes(path), path.read_bytes()))
        return total.hexdigest()

    def head(self) -> str | None:
        """The commit that is checked out."""
        with contextlib.suppress(OSError):
            text = (self.folder / "HEAD").read_text().strip()
            if not text.startswith("ref: "):
                return text
            name = text[5:]
            with contextlib.suppress(OSError):
                return (self.common / name).read_text().strip()
            for line in (self.common / "packed-refs").read_text().splitlines():
                if line.endswith(f" {name}"):
                    return line.partition(" ")[0]
        return None


@dataclass(frozen=True)
class Version:
    """One content that a file had. `commit` is the oldest that gave it, `at` when, in seconds; `path` is relative to
    the checkout. `data` is None where it is too large, or not in a partial clone."""

    path: str
    blob: str
    data: bytes
    commit: str
    at: int


def repository(checkout: Path) -> Repository | None:
    """That of the checkout, or of a folder above it."""
    checkout = checkout.resolve()
    for root in (checkout, *checkout.parents):
        mark = root / ".git"
        with contextlib.suppress(OSError):
            folder = mark
            if mark.is_file():
                folder = (root / mark.read_text().partition("gitdir:")[2].strip()).resolve()
            if not (folder / "HEAD").is_file():
                continue
            common = folder
            with contextlib.suppress(OSError):
                common = (folder / (folder / "commondir").read_text().strip()).resolve()
            inner = checkout.relative_to(root).as_posix()
            return Repository(root, folder, common, "" if inner == "." else f"{inner}/")
    return None


def versions(repo: Repository, since: str | None) -> Iterator[Version]:
    """Every content of every file in all branches and tags, but for what `since` and its ancestors have.

    Large files and those that a partial clone lacks are left out. Raises OSError or RuntimeError when git's files are
    damaged, ValueError when `since` is not there.
    """
    from kingfisher_sdk import GitInputWarning, GitScope, git_inputs

    scope = GitScope(refs=None, since_commit=since)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GitInputWarning)
        for one in git_inputs(repo.root, scope=scope, discover=False, max_blob_size=LARGEST, skip_missing_blobs=True):
            if one.path.startswith(repo.prefix) and one.data is not None and one.origins:
                first = min(one.origins, key=lambda commit: (commit.committer.timestamp, commit.id))
                path = one.path[len(repo.prefix) :]
                yield Version(path, one.blob_id or "", one.data, first.id, first.committer.timestamp)
