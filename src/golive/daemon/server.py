"""The daemon's door: HTTP on a Unix socket that only its owner may open. One line per handler, work elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from golive import __version__
from golive.daemon import api, backup_calls, db, domains, restore_calls, variables, vault, views
from golive.daemon.closures import Closures
from golive.daemon.daemon import PROTOCOL, Daemon
from golive.daemon.moves import MoveCalls
from golive.daemon.operations import Operations
from golive.daemon.requests import body as _body
from golive.daemon.requests import call as _call
from golive.daemon.requests import parse as _parse
from golive.daemon.secrets import scan
from golive.errors import BlueprintError, Conflict, GoliveError, NotFound, UsageError
from golive.release import bundles, runbook, shards
from golive.state.records import Place

log = logging.getLogger("golive.server")
Handler = Callable[[Request], Awaitable[Any]]


class Server:
    """Routes to the daemon. Answers are JSON, errors are `GoliveError.to_json()`, streams are one JSON a line; the last
    line of a whole stream has type `over`."""

    def __init__(self, daemon: Daemon, shut_down: Callable[[], None]) -> None:
        self._daemon = daemon
        self._operations = Operations(daemon)
        self._closures = Closures(daemon)
        self._shut_down = shut_down
        self._closing = asyncio.Event()

    def app(self) -> Starlette:
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/v1/daemon", self._info),
            ("POST", "/v1/daemon/stop", self._stop),
            ("POST", "/v1/deployments", self._deploy),
            ("GET", "/v1/deployments", self._deployments),
            ("GET", "/v1/deployments/{id:int}", self._deployment),
            ("GET", "/v1/deployments/{id:int}/events", self._events),
            ("POST", "/v1/deployments/{id:int}/cancel", self._cancel),
            ("POST", "/v1/plan", self._plan),
            ("POST", "/v1/dev", self._dev),
            ("POST", "/v1/dev/end", self._end_dev),
            ("GET", "/v1/status", self._status),
            ("GET", "/v1/releases", self._releases),
            ("POST", "/v1/logs", self._logs),
            ("GET", "/v1/env", self._env),
            ("PUT", "/v1/env", self._set_env),
            ("DELETE", "/v1/env", self._unset_env),
            ("POST", "/v1/env/diff", self._diff_env),
            ("POST", "/v1/env/read", self._read_env),
            ("GET", "/v1/migrations", self._migrations),
            ("POST", "/v1/migrations", self._migrate),
            ("POST", "/v1/migrations/lint", self._lint),
            ("POST", "/v1/migrations/rehearse", self._rehearse),
            ("POST", "/v1/outage", self._outage),
            ("GET", "/v1/db/insight", self._db_insight),
            ("GET", "/v1/db/size", self._db_size),
            ("POST", "/v1/db/shell", self._db_shell),
            ("POST", "/v1/db/maintain", self._db_maintain),
            ("POST", "/v1/db/promote", self._db_promote),
            ("GET", "/v1/db/branches", self._branches),
            ("POST", "/v1/db/branches", self._make_branch),
            ("POST", "/v1/db/branches/reset", self._reset_branch),
            ("POST", "/v1/db/branches/url", self._branch),
            ("POST", "/v1/db/branches/drop", self._drop_branch),
            ("POST", "/v1/db/upgrade", self._db_upgrade),
            ("POST", "/v1/secrets", self._secrets),
            ("GET", "/v1/bundle", self._bundle),
            ("POST", "/v1/scale", self._scale),
            ("GET", "/v1/traffic", self._traffic),
            ("POST", "/v1/traffic", self._steer),
            ("POST", "/v1/suspend", self._suspend),
            ("POST", "/v1/resume", self._resume),
            *self._of_closures(),
            ("POST", "/v1/exec", self._exec),
            ("POST", "/v1/down", self._down),
            ("POST", "/v1/destroy", self._destroy),
            *self._of_domains(),
            ("GET", "/v1/cache", self._cache),
            ("POST", "/v1/cache/purge", self._purge),
            ("GET", "/v1/vault", self._vault),
            ("POST", "/v1/vault", self._change_vault),
            ("GET", "/v1/audit", self._audit),
            ("GET", "/v1/engines", self._engines),
            *self._kept(),
        ]
        return Starlette(routes=[Route(path, answering(handler), methods=[verb]) for verb, path, handler in table])

    def _kept(self) -> list[tuple[str, str, Handler]]:
        """Backups, what is made of them, and moves."""
        return [
            ("GET", "/v1/moves", self._moves),
            ("POST", "/v1/moves", self._move),
            ("GET", "/v1/backups", self._backups),
            ("GET", "/v1/runbook", self._runbook),
            ("POST", "/v1/backups/take-over", self._take_over),
            ("POST", "/v1/backups", self._create_backup),
            ("POST", "/v1/backups/verify", self._verify_backup),
            ("POST", "/v1/backups/drill", self._drill),
            ("POST", "/v1/backups/delete", self._delete_backup),
            ("POST", "/v1/backups/key", self._backup_key),
            ("POST", "/v1/dumps", self._dumps),
            ("GET", "/v1/restores", self._restores),
            ("POST", "/v1/restores", self._restore),
            ("POST", "/v1/restores/swap", self._swap),
            ("POST", "/v1/restores/undo", self._undo_swap),
            ("POST", "/v1/restores/drop", self._drop_restored),
        ]

    def _of_closures(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/v1/maintenance", self._maintenance),
            ("POST", "/v1/maintenance", self._close_app),
            ("DELETE", "/v1/maintenance", self._open_app),
            ("GET", "/v1/links", self._links),
            ("GET", "/v1/entry", self._entry),
        ]

    def _of_domains(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/v1/domains", self._domains),
            ("POST", "/v1/domains/retry", self._retry_domains),
            ("PUT", "/v1/domains/certificate", self._bring_certificate),
            ("DELETE", "/v1/domains/certificate", self._remove_certificate),
        ]

    def close(self) -> None:
        """Streams end, which would otherwise hold the daemon's own end up as long as somebody follows them."""
        self._daemon.dev.stopping = True
        self._closing.set()

    def _stream(self, lines: AsyncIterator[dict[str, Any]]) -> StreamingResponse:
        async def encoded() -> AsyncIterator[bytes]:
            closing = asyncio.ensure_future(self._closing.wait())
            try:
                while (line := await _first(lines, closing)) is not None:
                    yield json.dumps(line).encode() + b"\n"
                if not closing.done():
                    yield json.dumps({"type": "over"}).encode() + b"\n"
            except GoliveError as error:
                yield json.dumps({"type": "error", "error": error.to_json()}).encode() + b"\n"
            except Exception as error:
                log.exception("a stream")
                failure = GoliveError("golive itself failed", why=type(error).__name__, hint="look at the daemon's log")
                yield json.dumps({"type": "error", "error": failure.to_json()}).encode() + b"\n"
            finally:
                closing.cancel()

        return StreamingResponse(encoded(), media_type="application/x-ndjson")

    async def _info(self, request: Request) -> Any:
        return {
            "version": __version__,
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "started_at": self._daemon.started_at,
            "home": str(self._daemon.host.home.root),
            "trust": views.trust(self._daemon.host),
        }

    async def _stop(self, request: Request) -> Any:
        self._daemon.host.state.audit(_actor(request), "daemon.stop")
        self._shut_down()
        return {"stopping": True}

    async def _deploy(self, request: Request) -> Any:
        kinds: dict[str, type[api.PlaceCall]] = {
            "deploy": api.DeployCall,
            "rollback": api.RollbackCall,
            "restart": api.RestartCall,
        }
        body = await _body(request)
        call = _parse(kinds.get(str(body.get("kind")), api.DeployCall), body)
        if isinstance(call, api.RollbackCall) and call.place in self._daemon.host.trials:
            from golive.daemon import traffic

            if ended := await traffic.end_canary(self._daemon, call, _actor(request)):
                return ended
        return {"deployment": self._operations.submit(call, _actor(request))}

    async def _deployments(self, request: Request) -> Any:
        place = _place(request) if "app" in request.query_params else None
        return {
            "deployments": [views.deployment(self._daemon.host, d) for d in self._daemon.host.state.deployments(place)]
        }

    async def _deployment(self, request: Request) -> Any:
        row = self._daemon.host.state.deployment(_id(request))
        return views.deployment(self._daemon.host, row)

    async def _events(self, request: Request) -> Any:
        id = _id(request)
        self._daemon.host.state.deployment(id)
        return self._stream(self._daemon.events.follow(id))

    async def _cancel(self, request: Request) -> Any:
        return {"cancelled": await self._daemon.cancel(_id(request), _actor(request))}

    async def _plan(self, request: Request) -> Any:
        return await self._operations.plan(await _call(api.PlanCall, request))

    async def _dev(self, request: Request) -> Any:
        return self._stream(self._daemon.dev.session(await _call(api.DevCall, request), _actor(request)))

    async def _end_dev(self, request: Request) -> Any:
        return await self._daemon.dev.end(await _call(api.EndDevCall, request))

    async def _status(self, request: Request) -> Any:
        place = _place(request) if "app" in request.query_params else None
        return await views.status(self._daemon, place)

    async def _releases(self, request: Request) -> Any:
        return {"releases": views.releases(self._daemon.host, _place(request))}

    async def _logs(self, request: Request) -> Any:
        return self._stream(self._operations.logs(await _call(api.LogsCall, request)))

    async def _env(self, request: Request) -> Any:
        return await variables.listing(self._daemon.host, _place(request), request.query_params.get("checkout"))

    async def _set_env(self, request: Request) -> Any:
        return self._operations.set_variables(await _call(api.SetVariables, request), _actor(request))

    async def _unset_env(self, request: Request) -> Any:
        return self._operations.unset_variables(await _call(api.UnsetVariables, request), _actor(request))

    async def _diff_env(self, request: Request) -> Any:
        return await variables.difference(self._daemon.host, await _call(api.CompareCall, request))

    async def _read_env(self, request: Request) -> Any:
        call = await _call(api.ReadVariables, request)
        return await variables.read(self._daemon.host, call, _actor(request))

    async def _moves(self, request: Request) -> Any:
        return await MoveCalls(self._daemon).status(_place(request))

    async def _move(self, request: Request) -> Any:
        return await MoveCalls(self._daemon).step(await _call(api.MoveCall, request), _actor(request))

    async def _migrations(self, request: Request) -> Any:
        return await self._operations.migrations(_place(request), sql=request.query_params.get("sql") == "true")

    async def _lint(self, request: Request) -> Any:
        return await self._operations.lint(await _call(api.LintCall, request))

    async def _rehearse(self, request: Request) -> Any:
        return self._stream(self._operations.rehearse(await _call(api.RehearseCall, request), _actor(request)))

    async def _outage(self, request: Request) -> Any:
        return self._stream(self._operations.outage(await _call(api.OutageCall, request), _actor(request)))

    async def _migrate(self, request: Request) -> Any:
        return self._stream(self._operations.migrate(await _call(api.MigrateCall, request), _actor(request)))

    async def _db_promote(self, request: Request) -> Any:
        return self._stream(db.promote(self._daemon.host, await _call(api.PromoteCall, request), _actor(request)))

    async def _db_upgrade(self, request: Request) -> Any:
        return self._stream(db.upgrade(self._daemon.host, await _call(api.UpgradeCall, request), _actor(request)))

    async def _db_insight(self, request: Request) -> Any:
        return await db.insight(self._daemon.host, _place(request), request.query_params.get("resource"))

    async def _db_size(self, request: Request) -> Any:
        if (name := request.query_params.get("shards")) is not None:
            return await shards.view(self._daemon.host, _place(request), name or None)
        return await db.size(self._daemon.host, _place(request), request.query_params.get("resource"))

    async def _db_shell(self, request: Request) -> Any:
        return await db.shell(self._daemon.host, await _call(api.DatabaseCall, request), _actor(request))

    async def _db_maintain(self, request: Request) -> Any:
        call = await _call(api.MaintainCall, request)
        return self._stream(db.maintain(self._daemon.host, call, _actor(request)))

    async def _backups(self, request: Request) -> Any:
        return await backup_calls.listing(self._daemon.host, _place(request), request.query_params.get("resource"))

    async def _runbook(self, _: Request) -> Any:
        return await runbook.facts(self._daemon.host)

    async def _take_over(self, request: Request) -> Any:
        self._daemon.host.state.audit(_actor(request), "backup.take-over")
        return {"places": await self._daemon.bundles.take_over()}

    async def _create_backup(self, request: Request) -> Any:
        call = await _call(api.CreateBackupCall, request)
        return self._stream(backup_calls.create(self._daemon.host, call, _actor(request)))

    async def _dumps(self, request: Request) -> Any:
        call = await _call(api.DumpCall, request)
        return self._stream(backup_calls.dumped(self._daemon.host, call, _actor(request)))

    async def _verify_backup(self, request: Request) -> Any:
        return await backup_calls.verify(self._daemon.host, await _call(api.BackupCall, request))

    async def _drill(self, request: Request) -> Any:
        call = await _call(api.BackupCall, request)
        return self._stream(backup_calls.prove(self._daemon.host, call, _actor(request)))

    async def _delete_backup(self, request: Request) -> Any:
        return await backup_calls.delete(self._daemon.host, await _call(api.BackupCall, request), _actor(request))

    async def _backup_key(self, request: Request) -> Any:
        found = backup_calls.key(self._daemon.host, await _call(api.KeyCall, request), _actor(request))
        if found.get("changed"):
            await self._daemon.backups.begin_anew()
        return found

    async def _branches(self, request: Request) -> Any:
        return await db.branches_of(self._daemon.host, _place(request))

    async def _make_branch(self, request: Request) -> Any:
        call = await _call(api.MakeBranchCall, request)
        if call.at is not None or call.backup is not None:
            await self._daemon.backups.step_aside(call.place)
        return self._stream(db.make_branch(self._daemon.host, call, _actor(request), anew=False))

    async def _reset_branch(self, request: Request) -> Any:
        call = await _call(api.MakeBranchCall, request)
        return self._stream(db.make_branch(self._daemon.host, call, _actor(request), anew=True))

    async def _branch(self, request: Request) -> Any:
        return await db.branch(self._daemon.host, await _call(api.BranchCall, request), _actor(request))

    async def _drop_branch(self, request: Request) -> Any:
        return await db.drop_branch(self._daemon.host, await _call(api.BranchCall, request), _actor(request))

    async def _restores(self, request: Request) -> Any:
        return await restore_calls.listing(self._daemon.host, _place(request))

    async def _restore(self, request: Request) -> Any:
        call = await _call(api.RestoreCall, request)
        return self._stream(restore_calls.restore(self._daemon, call, _actor(request)))

    async def _swap(self, request: Request) -> Any:
        call = await _call(api.CopyCall, request)
        return self._stream(restore_calls.exchange(self._daemon, call, _actor(request), undo=False))

    async def _undo_swap(self, request: Request) -> Any:
        call = await _call(api.CopyCall, request)
        return self._stream(restore_calls.exchange(self._daemon, call, _actor(request), undo=True))

    async def _drop_restored(self, request: Request) -> Any:
        return await restore_calls.drop(self._daemon.host, await _call(api.CopyCall, request), _actor(request))

    async def _bundle(self, request: Request) -> Any:
        number = request.query_params.get("release", "0")
        if not number.isdecimal() or int(number) >= 2**31:
            raise UsageError(f"{number!r} is not the number of a release", hint="golive releases lists them")
        return bundles.report(self._daemon.host, _place(request), int(number) or None)

    async def _secrets(self, request: Request) -> Any:
        return self._stream(scan(self._daemon.host, await _call(api.SecretsCall, request)))

    async def _scale(self, request: Request) -> Any:
        return await self._operations.scale(await _call(api.ScaleCall, request), _actor(request))

    async def _traffic(self, request: Request) -> Any:
        from golive.daemon import traffic

        return traffic.view(self._daemon, _place(request))

    async def _steer(self, request: Request) -> Any:
        from golive.daemon import traffic

        return await traffic.steer(self._daemon, await _call(api.TrafficCall, request), _actor(request))

    async def _suspend(self, request: Request) -> Any:
        return await self._closures.suspend(await _call(api.ServicesCall, request), _actor(request))

    async def _resume(self, request: Request) -> Any:
        return await self._closures.resume(await _call(api.ServicesCall, request), _actor(request))

    async def _cache(self, request: Request) -> Any:
        from golive.daemon import caching

        return await caching.stats(self._daemon.host, _place(request))

    async def _purge(self, request: Request) -> Any:
        from golive.daemon import caching

        return await caching.purge(self._daemon.host, await _call(api.PurgeCall, request), _actor(request))

    async def _maintenance(self, request: Request) -> Any:
        return self._closures.maintenance(_place(request))

    async def _links(self, request: Request) -> Any:
        return self._closures.links(_place(request), _actor(request))

    async def _entry(self, request: Request) -> Any:
        return self._closures.entry(_place(request), _actor(request))

    async def _close_app(self, request: Request) -> Any:
        return await self._closures.turn_on(await _call(api.MaintenanceCall, request), _actor(request))

    async def _open_app(self, request: Request) -> Any:
        return await self._closures.turn_off(await _call(api.PlaceCall, request), _actor(request))

    async def _exec(self, request: Request) -> Any:
        return self._operations.exec(await _call(api.ExecCall, request), _actor(request))

    async def _down(self, request: Request) -> Any:
        return await self._operations.down(await _call(api.PlaceCall, request), _actor(request))

    async def _destroy(self, request: Request) -> Any:
        return await self._operations.destroy(await _call(api.PlaceCall, request), _actor(request))

    async def _domains(self, request: Request) -> Any:
        return domains.listing(self._daemon.host, _place(request))

    async def _retry_domains(self, request: Request) -> Any:
        return domains.retry(self._daemon, await _call(api.DomainsCall, request))

    async def _bring_certificate(self, request: Request) -> Any:
        call = await _call(api.BringCertificateCall, request)
        return await domains.bring(self._daemon.host, call, _actor(request))

    async def _remove_certificate(self, request: Request) -> Any:
        return await domains.remove(self._daemon.host, await _call(api.DomainCall, request), _actor(request))

    async def _vault(self, _: Request) -> Any:
        return vault.facts(self._daemon.host)

    async def _change_vault(self, request: Request) -> Any:
        return await vault.change(self._daemon, await _call(api.VaultCall, request), _actor(request))

    async def _audit(self, request: Request) -> Any:
        place = _place(request) if "app" in request.query_params else None
        return {"entries": views.audit(self._daemon.host, place)}

    async def _engines(self, request: Request) -> Any:
        return {"engines": await views.engines(self._daemon.host)}


def answering(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """With errors as JSON."""

    async def answer(request: Request) -> Response:
        try:
            result = await handler(request)
        except GoliveError as error:
            return JSONResponse({"error": error.to_json()}, _http_status(error))
        except Exception as error:
            log.exception("%s %s", request.method, request.url.path)
            failure = GoliveError(
                "golive itself failed", why=f"{type(error).__name__}: {error}", hint="look at the daemon's log"
            )
            return JSONResponse({"error": failure.to_json()}, 500)
        return result if isinstance(result, Response) else JSONResponse(result)

    return answer


def _http_status(error: GoliveError) -> int:
    kinds = ((NotFound, 404), (Conflict, 409), (BlueprintError, 422), (UsageError, 400))
    return next((status for kind, status in kinds if isinstance(error, kind)), 500)


def _id(request: Request) -> int:
    id = int(request.path_params["id"])
    if id >= 2**63:
        raise NotFound(f"there is no deployment {id}")
    return id


def _place(request: Request) -> Place:
    query = request.query_params
    return _parse(api.PlaceCall, {"app": query.get("app"), "environment": query.get("environment", "production")}).place


def _actor(request: Request) -> str:
    """Who asks: told by the client, which had to be able to open the socket."""
    return request.headers.get("x-golive-actor", "unknown")[:200]


async def _first(lines: AsyncIterator[dict[str, Any]], closing: asyncio.Future[Any]) -> dict[str, Any] | None:
    """The next line, None at the end and when the stream has to end before there is one."""
    line = asyncio.ensure_future(anext(lines, None))
    try:
        await asyncio.wait([line, closing], return_when=asyncio.FIRST_COMPLETED)
        return line.result() if line.done() else None
    finally:
        line.cancel()
