"""The key of the state for clients: which it is, and another one."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from golive.daemon.api import VaultCall
from golive.daemon.daemon import Daemon
from golive.errors import Conflict, UsageError
from golive.release.host import Host
from golive.secret import Secret
from golive.state.rotation import next_key
from golive.system import passphrase

ACTIONS = {"rotate": "vault.rotate", "passphrase": "vault.passphrase", "file": "vault.passphrase.remove"}


def facts(host: Host) -> dict[str, Any]:
    return asdict(host.state.vault_facts())


async def change(daemon: Daemon, call: VaultCall, actor: str) -> dict[str, Any]:
    """Everything sealed anew. Conflict while a deployment is under way, which has opened what it needs before, and when
    somebody else has changed the key meanwhile: it would be by the passphrase of before."""
    host = daemon.host
    secret = _passphrase(host, call)
    before = host.state.vault_facts().key
    coming = await asyncio.to_thread(next_key, host.home.key, secret)
    if host.state.unfinished_deployments():
        raise Conflict("a deployment is under way", hint="try again when it has ended: golive status --all")
    if host.state.vault_facts().key != before:
        raise Conflict("somebody else has changed the key just now", hint="golive vault shows it; try again")
    count = host.state.rotate_key(coming, actor, ACTIONS[call.work])
    passphrase.hand_over(secret)
    daemon.bring_edge_in_line()
    return {"key": coming.vault.id, "before": before, "values": count}


def _passphrase(host: Host, call: VaultCall) -> Secret | None:
    if call.work == "rotate":
        return host.state.passphrase()
    if call.work == "file":
        if host.state.passphrase() is None:
            raise UsageError("there is no passphrase: the key is a file", hint="golive vault passphrase sets one")
        return None
    chosen = call.passphrase.reveal() if call.passphrase else ""
    if len(chosen) < passphrase.SHORTEST or "\n" in chosen or "\r" in chosen:
        raise UsageError("that cannot be a passphrase", hint=f"one line of {passphrase.SHORTEST} characters or more")
    return Secret(chosen)
