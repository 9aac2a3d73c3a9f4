"""Checks that a new release has to pass through the real edge before it stays: `[release] require`.

They run as `golive check` does, in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from golive.errors import ChecksFailed
from golive.release.verify import Evidence
from golive.state.records import Deployment

if TYPE_CHECKING:
    from golive.release.deploy import Deploy
    from golive.release.host import Host

STEP = "require"

LONGEST = 300.0
"""Seconds for all of them."""


async def met(deploy: Deploy) -> None:
    """Its step, where golive.toml requires something of a new release. ChecksFailed when that is not so, or cannot be
    told; traffic is back at the release before then. One that is gone back to has passed already."""
    names = deploy.blueprint.release.require
    if not names or deploy.deployment.kind != "deploy":
        return
    async with deploy.journal.step(STEP) as note:
        try:
            results = await _checked(deploy, names)
            _judge(deploy, results)
        except BaseException:
            await asyncio.shield(deploy.retract())
            raise
        passed = sum(one["status"] == "pass" for one in results)
        note.detail = f"{passed} of {len(results)} checks passed, none failed"
        deploy.evidence.append(Evidence("required checks", True, f"{', '.join(names)}: {note.detail}"))


def cut_short(host: Host, deployment: Deployment) -> ChecksFailed | None:
    """What to say of required checks that the daemon's death interrupted, or kept from being made: traffic had moved by
    then, and they are not made by themselves again."""
    step = next((s for s in host.state.steps(deployment.id) if s.name == STEP), None)
    if deployment.kind != "deploy" or deployment.release is None or (step and step.state == "done"):
        return None
    names = host.release_blueprint(deployment.place, deployment.release).release.require
    if not names:
        return None
    only = " ".join(f"--only {name}" for name in names)
    return ChecksFailed(
        f"release {deployment.release} is live, but its required checks were {'interrupted' if step else 'not made'}",
        why="the daemon ended while the deployment was under way",
        hint=f"golive check {only} makes them; golive rollback goes back",
    )


async def _checked(deploy: Deploy, names: tuple[str, ...]) -> list[dict[str, Any]]:
    host, place = deploy.host, deploy.place
    only = [word for name in names for word in ("--only", name)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "golive", "check", place.app, "-e", place.environment, "--json", *only),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "GOLIVE_HOME": str(host.home.root), "NO_COLOR": "1"}, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST):
            out, err = await process.communicate()
        return list(json.loads(out)["checks"])
    except TimeoutError:
        raise ChecksFailed(f"the required checks took longer than {LONGEST:g} s", hint=_hint(deploy)) from None
    except (ValueError, KeyError):
        said = deploy.journal.mask(err.decode(errors="replace"))
        raise ChecksFailed("the required checks could not be made", log=said, hint=_hint(deploy)) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its browser too
        await process.wait()


def _judge(deploy: Deploy, results: list[dict[str, Any]]) -> None:
    bad = [one for one in results if one["status"] == "fail" and "ignored" not in one]
    if bad:
        said = "; ".join(f"{one['id']}: {one['text']}" for one in bad)
        where = "golive.toml: release.require"
        raise ChecksFailed(
            f"release {deploy.release} fails what it has to pass: {said}", where=where, hint=_hint(deploy)
        )


def _hint(deploy: Deploy) -> str:
    before = deploy.deployment.previous
    serves = f"release {before} serves again" if before else "nothing is served, as before"
    return f"{serves}; golive check --all shows each with its evidence"
