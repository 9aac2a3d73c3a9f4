"""Every error golive raises on purpose.

    GoliveError                 exit 1   what happened, where, why; a hint says what to do next
    ├── UsageError              exit 2   the command line or the blueprint is wrong
    │   └── BlueprintError      exit 2   carries every Problem of golive.toml at once
    ├── NotFound                exit 1   an app, release or service that does not exist
    ├── Conflict                exit 1   something else is under way, or in the way (a port, a lock)
    │   └── Fenced              exit 1   another machine serves in the place of this one
    ├── BuildFailed             exit 1   the build's own output is in `log`
    ├── SecretFound             exit 1   a secret stands in the source, its history, a bundle or a build's log
    ├── StartFailed             exit 1   an instance exited, never listened, or never became ready
    ├── CanaryStopped           exit 1   a new release did worse than the one before, and got no more visitors
    ├── ChecksFailed            exit 1   a new release failed a check (traffic went back), or was not checked
    ├── HookFailed              exit 1   a command before or after a release; says which release is live
    ├── MigrationFailed         exit 1   says exactly what stands in the database
    ├── EdgeRejected            exit 1   Envoy refused a resource file; the last good one is in force
    ├── EngineUnavailable       exit 1   an engine is neither on the machine nor can it be fetched
    ├── ResourceFailed          exit 1   PostgreSQL or Redis could not be provisioned or reached
    ├── BackupFailed            exit 1   a backup could not be made, or cannot be trusted or restored
    │   └── BackupUntried       exit 1   what is in the way is not the backup: a full disk, a place that does not answer
    ├── StateError              exit 1   GOLIVE_HOME cannot be used (read-only, newer version, full)
    │   └── Locked              exit 1   a passphrase opens its secrets, and none was given
    └── Cancelled               exit 130 the user or a newer deploy stopped it

Nothing below `golive.cli` prints or exits; `golive.cli.main` turns these into text and an exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar


class GoliveError(Exception):
    """What happened, in one sentence a user can act on.

    `where` names the file, line, key path, service or step; `why` is the cause as far as it is known; `hint` is the
    next step; `log` holds the last lines of a program's own output. All are plain text without secrets.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, *, where: str | None = None, why: str | None = None, hint: str | None = None, log: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.hint = hint
        self.log = log

    def to_json(self) -> dict[str, Any]:
        """The error as the API sends it; `from_json` is its inverse."""
        fields = {"where": self.where, "why": self.why, "hint": self.hint, "log": self.log}
        return {"kind": type(self).__name__, "what": self.what, **{k: v for k, v in fields.items() if v}}


class UsageError(GoliveError):
    exit_code = 2


class NotFound(GoliveError):
    pass


class Conflict(GoliveError):
    pass


class Fenced(Conflict):
    pass


class BuildFailed(GoliveError):
    pass


class SecretFound(GoliveError):
    pass


class StartFailed(GoliveError):
    pass


class CanaryStopped(GoliveError):
    pass


class ChecksFailed(GoliveError):
    pass


class HookFailed(GoliveError):
    pass


class MigrationFailed(GoliveError):
    pass


class EdgeRejected(GoliveError):
    pass


class EngineUnavailable(GoliveError):
    pass


class ResourceFailed(GoliveError):
    pass


class BackupFailed(GoliveError):
    pass


class BackupUntried(BackupFailed):
    pass


class StateError(GoliveError):
    pass


class Locked(StateError):
    pass


class Cancelled(GoliveError):
    exit_code = 130


class BlueprintError(UsageError):
    """golive.toml is missing, malformed or impossible: every problem at once.

    `problems` is a tuple of `golive.blueprint.problem.Problem`; its text form is already in `what`.
    """

    def __init__(self, what: str, problems: tuple[Any, ...] = (), **kwargs: Any) -> None:
        super().__init__(what, **kwargs)
        self.problems = problems

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "problems": [p.to_json() for p in self.problems]}


def from_json(data: dict[str, Any]) -> GoliveError:
    """Rebuild an error that crossed the API; an unknown kind becomes a GoliveError."""
    kinds = {cls.__name__: cls for cls in _subclasses(GoliveError)}
    cls = kinds.get(str(data.get("kind")), GoliveError)
    extra = {k: data[k] for k in ("where", "why", "hint", "log") if k in data}
    error: GoliveError = cls(data.get("what", "unknown error"), **extra)
    if isinstance(error, BlueprintError):
        from golive.blueprint.problem import Problem

        error.problems = tuple(Problem(**p) for p in data.get("problems", ()))
    return error


def in_words(error: BaseException) -> str:
    """In one line: what happened, why, and what to do next; of an error that is none of golive's, the end of it."""
    if isinstance(error, GoliveError):
        cause = f"{error.what}: {error.why}" if error.why else error.what
        return f"{cause}; {error.hint}" if error.hint else cause
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name closest to a mistyped one, or None when nothing is near."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _subclasses(cls: type[GoliveError]) -> set[type[GoliveError]]:
    found = {cls}
    for sub in cls.__subclasses__():
        found |= _subclasses(sub)
    return found
