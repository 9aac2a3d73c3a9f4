"""What going back to an earlier release means for the schema, which stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from golive.blueprint.models import Blueprint
from golive.errors import Conflict, GoliveError
from golive.release import backups, databases, migrations
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place, ReleaseSchema

if TYPE_CHECKING:
    from golive.migrate.shape import Loss

_SHOWN = 8


@dataclass(frozen=True)
class Behind:
    """Migrations that were applied since a release went live, and those of them that took something away."""

    since: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()


def behind(schemas: dict[int, ReleaseSchema], number: int) -> Behind | None:
    """Pure; None when it was not recorded. Migrations are only ever added, so the database has those of every release,
    also of one that failed after it had migrated."""
    if number not in schemas:
        return None
    had, knew = set(schemas[number].applied), set(schemas[number].contracts)
    applied = dict.fromkeys(name for each in sorted(schemas) for name in schemas[each].applied)
    contracts = dict.fromkeys(name for each in sorted(schemas) for name in schemas[each].contracts)
    return Behind(
        tuple(name for name in applied if name not in had), tuple(name for name in contracts if name not in knew)
    )


async def going_back(
    host: Host, place: Place, number: int, blueprint: Blueprint, url: Secret | None, *, accepted: bool
) -> str:
    """What it means for the schema that this release comes back, in a sentence; nothing when it is the same.

    Conflict when it names what is no longer there, unless that is `accepted`.
    """
    schemas = host.state.release_schemas(place)
    found = behind(schemas, number)
    if found is None:
        return _by_version(host, place, number)
    if blueprint.migrations is None or url is None or not found.since:
        return ""
    said = f"the schema keeps {_listed(found)}, applied since release {number}"
    code = migrations.code_of(host, place, number)
    try:
        lost = await databases.losses(host.offload, blueprint.migrations, url, schemas[number].shape, code)
    except (GoliveError, TimeoutError) as error:
        return f"{said}; whether it can run without what they took was not asked: {error}"
    if not lost:
        return f"{said}; release {number} can run on it"
    if accepted:
        return f"{said}; accepted: {'; '.join(loss.what for loss in lost)}"
    raise _refused(number, found, lost, _back_in_time(host, place, found, blueprint))


def _back_in_time(host: Host, place: Place, found: Behind, blueprint: Blueprint) -> str:
    """The command that takes the data back, too; nothing where no backup is from before."""
    settings = blueprint.migrations
    if settings is None or settings.resource not in backups.names(host, place):
        return ""
    began = min(_began(host, place, name) for name in found.since)
    runs = host.state.backup_runs(place, settings.resource, "base")
    if not any(run.error is None and run.ended_at is not None and run.ended_at < began for run in runs):
        return ""
    moment = datetime.fromtimestamp(began, UTC)
    return f"or take the data back to before it, too: golive restore -r {settings.resource} --to-time {moment:%FT%TZ}; "


def _began(host: Host, place: Place, name: str) -> float:
    """When a migration was about to run: by hand, or with the first release that has it."""
    begun = 0.0
    for entry in reversed(host.state.audit_log(place, limit=1000)):
        if entry.action == "migrate":
            begun = entry.at
        elif entry.action == "migrate.done" and name in entry.detail.get("applied", ()):
            return begun
    schemas = host.state.release_schemas(place)
    return min(host.state.release(place, n).created_at for n, each in schemas.items() if name in each.applied)


def _refused(number: int, found: Behind, lost: tuple[Loss, ...], back: str) -> Conflict:
    lines = [f"{loss.what}: {_places(loss)}" for loss in lost[:_SHOWN]]
    lines += [f"and {len(lost) - _SHOWN} more"] if len(lost) > _SHOWN else []
    return Conflict(
        f"release {number} cannot run on the schema as it is now",
        why=f"Applied since it went live: {_listed(found)}.\n" + "\n".join(lines),
        hint="Nothing was changed, the live release goes on. Correct what is wrong in a new release and deploy it; "
        f"{back}"
        f"or, if what was found does no harm, golive rollback {number} --despite-schema",
    )


def _places(loss: Loss) -> str:
    return ", ".join(loss.places) if loss.places else "its code cannot be searched, so it may need it"


def _listed(found: Behind) -> str:
    taken = set(found.contracts)
    names = [f"{n} (contract)" if n in taken and not n.endswith(" (contract)") else n for n in found.since]
    shown = names[:_SHOWN] + ([f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])
    return ", ".join(shown)


def _by_version(host: Host, place: Place, number: int) -> str:
    """Of a release that an older golive made."""
    app = host.state.app(place)
    live = app.live if app else None
    then = host.state.release(place, number).schema_version
    now = host.state.release(place, live).schema_version if live else None
    if now and then and now != then:
        return f"the schema stays at {now}; release {number} was made for {then}"
    return ""
