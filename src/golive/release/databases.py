"""Work on databases, done in another process: the driver is a third of what the daemon would weigh with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from golive.blueprint.models import Migrations, Resource
from golive.data.insight import Insight
from golive.data.store import Report, Store
from golive.errors import ResourceFailed
from golive.migrate.lint.finding import Verdict
from golive.migrate.lint.sources import Running
from golive.migrate.runtime import Runtime
from golive.migrate.status import Applied, MigrationEvent, Overview
from golive.secret import Secret
from golive.system.offload import Offload

if TYPE_CHECKING:
    from golive.data.maintain import Step
    from golive.data.postgres import Postgres
    from golive.migrate.account import Account
    from golive.migrate.shape import Loss


async def bring_up(offload: Offload, store: Store, timeout: timedelta) -> Report:
    """The store answers, has the app's role and database, and answered a query. ResourceFailed says what is wrong."""
    return await offload.call(_bring_up, store, timeout)


async def _bring_up(store: Store, timeout: timedelta) -> Report:
    await store.ready(timeout)
    await store.provision()
    return await store.check()


async def ready(offload: Offload, store: Store, timeout: timedelta) -> None:
    """It takes connections. ResourceFailed says why not."""
    await offload.call(_ready, store, timeout)


async def _ready(store: Store, timeout: timedelta) -> None:
    await store.ready(timeout)


async def pool_use(offload: Offload, port: int, password: Secret) -> dict[str, int]:
    """See `golive.data.pool`; GoliveError when it does not answer."""
    return await offload.call(_pool_use, port, password)


async def _pool_use(port: int, password: Secret) -> dict[str, int]:
    import psycopg

    from golive.data.pool import pool_use

    try:
        return await pool_use(port, password)
    except psycopg.Error:
        raise ResourceFailed(f"PgBouncer on port {port} does not answer") from None


async def pool_order(offload: Offload, port: int, password: Secret, command: str) -> None:
    """A command for PgBouncer's console; GoliveError when it refuses."""
    await offload.call(_pool_order, port, password, command)


async def _pool_order(port: int, password: Secret, command: str) -> None:
    import psycopg

    from golive.data.pool import open_console

    try:
        async with await open_console(port, password) as console:
            await console.execute(command.encode())
    except psycopg.Error as error:
        raise ResourceFailed(f"PgBouncer on port {port} refused {command}", why=str(error).strip()) from None


async def check_masks(offload: Offload, store: Postgres, rules: Mapping[str, str]) -> None:
    """See `golive.data.mask`."""
    await offload.call(_check_masks, store, rules)


async def _check_masks(store: Postgres, rules: Mapping[str, str]) -> None:
    from golive.data.mask import check

    await check(store, rules)


async def mask(
    offload: Offload, store: Postgres, rules: Mapping[str, str], key: Secret, report: Callable[[str], None]
) -> None:
    """See `golive.data.mask`."""
    await offload.reporting(report, _mask, store, rules, key)


async def _mask(
    store: Postgres, rules: Mapping[str, str], key: Secret, report: Callable[[str], None] = lambda _: None
) -> None:
    from golive.data.mask import mask

    await mask(store, rules, key, report)


async def check_external(offload: Offload, resource: Resource, url: Secret) -> Report:
    """See `golive.data.external`."""
    return await offload.call(_check_external, resource, url)


async def _check_external(resource: Resource, url: Secret) -> Report:
    from golive.data.external import check_external

    return await check_external(resource, url)


async def migrate(  # noqa: PLR0913  # what step.migrate takes, and where it runs
    offload: Offload,
    migrations: Migrations,
    checkout: Path,
    url: Secret,
    *,
    release: int,
    report: Callable[[MigrationEvent], None],
    runtime: Runtime | None = None,
    held: tuple[str, ...] = (),
) -> Applied:
    """See `golive.migrate.step`."""
    return await offload.reporting(report, _migrate, migrations, checkout, url, release, runtime, held)


async def _migrate(
    migrations: Migrations,
    checkout: Path,
    url: Secret,
    release: int,
    runtime: Runtime | None,
    held: tuple[str, ...],
    report: Callable[[MigrationEvent], None] = lambda _: None,
) -> Applied:
    from golive.migrate.step import migrate

    return await migrate(migrations, checkout, url, release=release, report=report, runtime=runtime, held=held)


async def rehearse(
    offload: Offload,
    migrations: Migrations,
    checkout: Path,
    url: Secret,
    *,
    report: Callable[[MigrationEvent], None],
    runtime: Runtime | None,
    held: tuple[str, ...],
) -> Account:
    """See `golive.migrate.rehearse`."""
    return await offload.reporting(report, _rehearse, migrations, checkout, url, runtime, held)


async def _rehearse(
    migrations: Migrations,
    checkout: Path,
    url: Secret,
    runtime: Runtime | None,
    held: tuple[str, ...],
    report: Callable[[MigrationEvent], None] = lambda _: None,
) -> Account:
    from golive.migrate.rehearse import rehearse

    return await rehearse(migrations, checkout, url, report, runtime=runtime, held=held)


async def pending(
    offload: Offload, migrations: Migrations, checkout: Path, url: Secret | None, *, runtime: Runtime | None = None
) -> tuple[str, ...]:
    """See `golive.migrate.step`."""
    return await offload.call(_pending, migrations, checkout, url, runtime)


async def _pending(
    migrations: Migrations, checkout: Path, url: Secret | None, runtime: Runtime | None
) -> tuple[str, ...]:
    from golive.migrate.step import pending

    return await pending(migrations, checkout, url, runtime=runtime)


async def overview(
    offload: Offload, migrations: Migrations, checkout: Path, url: Secret, *, runtime: Runtime | None, sql: bool
) -> Overview:
    """See `golive.migrate.overview`."""
    return await offload.call(_overview, migrations, checkout, url, runtime, sql)


async def _overview(
    migrations: Migrations, checkout: Path, url: Secret, runtime: Runtime | None, sql: bool
) -> Overview:
    from golive.migrate.overview import overview

    return await overview(migrations, checkout, url, runtime=runtime, sql=sql)


async def inspect(
    offload: Offload,
    migrations: Migrations,
    checkout: Path,
    url: Secret | None,
    running: tuple[Running, ...],
    *,
    runtime: Runtime | None,
) -> Verdict:
    """See `golive.migrate.lint.gate`."""
    return await offload.call(_inspect, migrations, checkout, url, running, runtime)


async def _inspect(
    migrations: Migrations, checkout: Path, url: Secret | None, running: tuple[Running, ...], runtime: Runtime | None
) -> Verdict:
    from golive.migrate.lint.gate import inspect

    return await inspect(migrations, checkout, url, running, runtime=runtime)


async def taken(
    offload: Offload, migrations: Migrations, checkout: Path, url: Secret, kept: tuple[Running, ...]
) -> tuple[tuple[int, str, str], ...]:
    """See `golive.migrate.lint.gate`."""
    return await offload.call(_taken, migrations, checkout, url, kept)


async def _taken(
    migrations: Migrations, checkout: Path, url: Secret, kept: tuple[Running, ...]
) -> tuple[tuple[int, str, str], ...]:
    from golive.migrate.lint.gate import taken

    return await taken(migrations, checkout, url, kept)


async def judge(
    offload: Offload,
    migrations: Migrations,
    checkout: Path,
    texts: tuple[tuple[str, str], ...],
    url: Secret,
    running: tuple[Running, ...],
) -> Verdict:
    """See `golive.migrate.lint.gate`."""
    return await offload.call(_judge, migrations, checkout, texts, url, running)


async def _judge(
    migrations: Migrations,
    checkout: Path,
    texts: tuple[tuple[str, str], ...],
    url: Secret,
    running: tuple[Running, ...],
) -> Verdict:
    from golive.migrate.lint.gate import judge

    return await judge(migrations, checkout, texts, url, running)


async def shape(offload: Offload, migrations: Migrations, url: Secret) -> bytes:
    """See `golive.migrate.shape`."""
    return await offload.call(_shape, migrations, url)


async def _shape(migrations: Migrations, url: Secret) -> bytes:
    from golive.migrate.shape import shape

    return await shape(migrations, url)


async def losses(
    offload: Offload, migrations: Migrations, url: Secret, then: bytes, running: Running
) -> tuple[Loss, ...]:
    """See `golive.migrate.shape`."""
    return await offload.call(_losses, migrations, url, then, running)


async def _losses(migrations: Migrations, url: Secret, then: bytes, running: Running) -> tuple[Loss, ...]:
    from golive.migrate.shape import losses

    return await losses(migrations, url, then, running)


async def insight(offload: Offload, resource: Resource, url: Secret, store: Store | None) -> Insight:
    """See `golive.data.inspect`."""
    return await offload.call(_insight, resource, url, store)


async def _insight(resource: Resource, url: Secret, store: Store | None) -> Insight:
    from golive.data.inspect import insight

    return await insight(resource, url, store)


async def sizes(offload: Offload, resource: Resource, url: Secret, store: Store | None) -> dict[str, Any]:
    """See `golive.data.inspect`."""
    return await offload.call(_sizes, resource, url, store)


async def _sizes(resource: Resource, url: Secret, store: Store | None) -> dict[str, Any]:
    from golive.data.inspect import sizes

    return await sizes(resource, url, store)


async def maintain(  # what golive.data.maintain takes, and where it runs
    offload: Offload,
    work: Literal["vacuum", "reindex"],
    resource: Resource,
    url: Secret,
    name: str | None,
    report: Callable[[Step], None],
) -> None:
    """See `golive.data.maintain`. Cancelled, it ends on the server too."""
    await offload.reporting(report, _maintain, work, resource, url, name)


async def _maintain(
    work: Literal["vacuum", "reindex"],
    resource: Resource,
    url: Secret,
    name: str | None,
    report: Callable[[Step], None] = lambda _: None,
) -> None:
    from golive.data.maintain import reindex, vacuum

    await (vacuum if work == "vacuum" else reindex)(resource, url, name, report)
