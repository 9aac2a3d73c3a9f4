"""Moving what an app keeps in Redis to PostgreSQL: the steps, and what each asks of the release that is live."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from golive.blueprint import moves as blueprint_moves
from golive.data.external import target_of
from golive.data.redis import Redis
from golive.data.redis_plan import ADMIN
from golive.errors import Conflict, NotFound, nearest
from golive.move.keys import Source
from golive.move.mapping import Mapped
from golive.move.values import Compared, Move
from golive.release import db
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import GenerationState, Place
from golive.system.offload import Offload

Side = Literal["redis", "postgres"]
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """A move with its settings: those of when it began, or of the live release before that. `reads` is the side that
    the live release reads, `wanted` the one that the next deploy would."""

    place: Place
    name: str
    settings: blueprint_moves.Move
    under_way: bool
    reads: Side
    wanted: Side


def find(host: Host, place: Place, name: str | None) -> Found:
    """The one named, else the only one. NotFound says which there are."""
    known = listed(host, place)
    if name is None and len(known) == 1:
        return known[0]
    for each in known:
        if each.name == name:
            return each
    names = [each.name for each in known]
    if name is None:
        hint = f"name one: {', '.join(names)}" if names else "`[moves.<name>]` in golive.toml says what becomes what"
        raise NotFound(f"{place} has {'several moves' if names else 'no move'}", hint=hint)
    near = nearest(name, names)
    raise NotFound(f"{place} has no move {name!r}", hint=f"did you mean {near}?" if near else f"it has {names}")


def listed(host: Host, place: Place) -> list[Found]:
    """Those of the live release, and those that are under way."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    settings = dict(host.release_blueprint(place, app.live).moves)
    begun = {r.name: blueprint_moves.Move.model_validate_json(r.settings) for r in host.state.moves(place)}
    return [
        Found(place, name, one, name in begun, reads(host, place, app.live, one), _wanted(host, place, one))
        for name, one in sorted({**settings, **begun}.items())
    ]


def reads(host: Host, place: Place, release: int, settings: blueprint_moves.Move) -> Side:
    """The side that a release reads: what it was given for the switch."""
    given = [values.get(settings.switch) for values in host.state.release_environments(place, release).values()]
    return "postgres" if any(value and value.reveal() == "postgres" for value in given) else "redis"


def _wanted(host: Host, place: Place, settings: blueprint_moves.Move) -> Side:
    value = host.state.variables(place).get(settings.switch)
    return "postgres" if value and value.reveal() == "postgres" else "redis"


async def plan_of(host: Host, found: Found) -> Move:
    """What the worker needs: both addresses, and the maps."""
    known = await db.live(host, found.place)
    for name in (found.settings.source, found.settings.to):
        if name not in known:
            hint = "bring it back in golive.toml until the move has ended: golive move revert, or finish"
            raise NotFound(f"the live release has no resource {name}", hint=hint)
    maps = tuple(
        Mapped(each.keys, each.table, each.kind, each.value, each.fields, each.expires) for each in found.settings.map
    )
    return Move(found.name, _source(known[found.settings.source]), known[found.settings.to].url, maps)


def _source(database: db.Database) -> Source:
    if isinstance(database.store, Redis):
        return Source(ADMIN, database.store.admin_password(), database.store.socket)
    target = target_of(database.resource, database.url)
    number = int(target.name) if target.name.isdigit() else 0
    return Source(target.user, target.password, None, target.host, target.port, number, target.tls)


async def start(host: Host, found: Found, actor: str) -> dict[str, Any]:
    """It is copied and followed from here on."""
    if found.under_way:
        raise Conflict(f"the move {found.name} is under way already", hint="golive move status shows how far it is")
    if found.reads == "postgres":
        hint = f"golive env unset {found.settings.switch}, and deploy"
        raise Conflict(f"the live release reads PostgreSQL already: {found.settings.switch} is postgres", hint=hint)
    begun = await host.offload.call(_start, await plan_of(host, found))
    host.state.add_move(found.place, found.name, found.settings.model_dump_json(by_alias=True), actor)
    host.state.audit(actor, "move.start", found.place, move=found.name)
    return begun


async def compare(host: Host, found: Found) -> Compared:
    _require(found)
    return await _alone(_compare, await plan_of(host, found))


async def prepare_cutover(host: Host, found: Found, actor: str) -> Compared:
    """Both sides hold the same and follow each other, and the next release reads PostgreSQL. Conflict when they
    differ; nothing was changed then."""
    _require(found)
    plan = await plan_of(host, found)
    noted = await host.offload.call(_status, plan)
    if not noted.get("swept"):
        raise Conflict(
            f"the move {found.name} has not copied everything yet", hint="golive move status says how far it is"
        )
    compared = await _alone(_compare, plan)
    if not compared.equal:
        raise Conflict(
            f"both sides of {found.name} are not the same yet",
            why=differences(compared),
            hint="nothing was changed. What is refused has to be corrected in Redis, or deleted; look again with "
            "golive move compare",
        )
    await host.offload.call(_follow, plan)
    _switch(host, found, "postgres", actor)
    host.state.audit(actor, "move.cutover", found.place, move=found.name)
    return compared


async def revert(host: Host, found: Found, actor: str) -> bool:
    """One step back. True when a deploy has to follow: the app reads PostgreSQL, and the next release Redis. Else the
    move is over, and the rows stay."""
    _require(found)
    host.state.audit(actor, "move.revert", found.place, move=found.name)
    if "postgres" in (found.reads, found.wanted):
        _switch(host, found, "redis", actor)
        return found.reads == "postgres"
    await _end(host, found, delete_keys=False)
    return False


async def finish(host: Host, found: Found, actor: str, *, delete_keys: bool) -> int:
    """Nothing follows any more; PostgreSQL has it. How many keys of Redis were deleted. Conflict while a release that
    runs reads Redis."""
    _require(found)
    if found.reads != "postgres" or found.wanted != "postgres":
        raise Conflict(
            f"the live release reads Redis, so that {found.name} cannot be finished",
            hint="golive move cutover first; golive move revert ends it without",
        )
    for generation in host.state.generations(found.place, (GenerationState.DRAINING, GenerationState.WARM)):
        if reads(host, found.place, generation.release, found.settings) == "redis":
            raise Conflict(
                f"release {generation.release} still runs or is kept warm, and reads Redis",
                hint="wait until its time is over (golive status); until then golive rollback goes back to it",
            )
    host.state.audit(actor, "move.finish", found.place, move=found.name, delete_keys=delete_keys)
    return await _end(host, found, delete_keys=delete_keys)


async def _end(host: Host, found: Found, *, delete_keys: bool) -> int:
    deleted = await _alone(_finish, await plan_of(host, found), delete_keys)
    host.state.forget_move(found.place, found.name)
    return deleted


def _switch(host: Host, found: Found, to: Side, actor: str) -> None:
    with host.state.transaction():
        host.state.set_variable(found.place, found.settings.switch, Secret(to), actor)
        host.state.audit(actor, "env.set", found.place, name=found.settings.switch)


def _require(found: Found) -> None:
    if not found.under_way:
        raise Conflict(f"the move {found.name} is not under way", hint="golive move start begins it")


async def status(host: Host, found: Found) -> dict[str, Any]:
    """As JSON."""
    head = {
        "name": found.name,
        "from": found.settings.source,
        "to": found.settings.to,
        "switch": found.settings.switch,
        "under_way": found.under_way,
        "reads": found.reads,
        "wanted": found.wanted,
        "maps": [each.model_dump(mode="json") for each in found.settings.map],
    }
    return {**head, **await host.offload.call(_status, await plan_of(host, found)), "under_way": found.under_way}


def to_json(compared: Compared) -> dict[str, Any]:
    return {**asdict(compared), "equal": compared.equal}


def differences(compared: Compared) -> str:
    """In lines; the first of each kind."""
    kinds = (
        ("another row", compared.different), ("no row", compared.missing), ("a row without a key", compared.extra),
        ("refused", compared.refused),
    )  # fmt: skip
    return "\n".join(f"{what}: {key}" for what, found in kinds for key in found)


async def _alone(function: Callable[..., Awaitable[T]], *given: Any) -> T:
    """In a process of its own: it reads every key."""
    offload = Offload()
    try:
        return await offload.call(function, *given)
    finally:
        await offload.close()


# In the other process


async def _start(plan: Move) -> dict[str, Any]:
    from golive.move import steps

    return await steps.start(plan)


async def _status(plan: Move) -> dict[str, Any]:
    from golive.move import steps

    return await steps.status(plan)


async def _compare(plan: Move) -> Compared:
    from golive.move import steps

    return await steps.compare(plan)


async def _follow(plan: Move) -> None:
    from golive.move import steps

    await steps.follow(plan)


async def _finish(plan: Move, delete_keys: bool) -> int:  # crosses to another process by position
    from golive.move import steps

    return await steps.finish(plan, delete_keys=delete_keys)


async def set_truth(plan: Move, side: Side) -> None:
    """See `golive.move.steps`."""
    from golive.move import steps

    await steps.set_truth(plan, side)


async def work(plan: Move, report: Any = lambda _: None) -> None:
    """See `golive.move.worker`."""
    from golive.move import worker

    await worker.work(plan, report)
