"""Commands of the app's own around a release: each once, and never in silence twice (REL-9).

Before: after the migrations, so that it finds the new schema, and before any instance of the new release runs. After:
when the release is live and verified. They run as `golive run` does, in the new release's files and environment, with
the limits of their service; what they say is shown live and kept beside the logs of services.
"""

from __future__ import annotations

import collections
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from golive.blueprint.fields import duration_text
from golive.blueprint.models import Blueprint, Hook
from golive.build.command import start_argv, with_port
from golive.errors import HookFailed, StartFailed
from golive.release.host import Host
from golive.release.instances import process_environment
from golive.state.records import Deployment
from golive.system import processes
from golive.system.processes import Completed, Limits, ProcessId

if TYPE_CHECKING:
    from golive.release.deploy import Deploy

PRE, POST = "pre_deploy", "post_deploy"
TAIL = 100
"""Lines that an error keeps."""
GRACE = timedelta(seconds=5)
"""Between SIGTERM and SIGKILL for one that a dead daemon left behind."""


async def run_all(deploy: Deploy, when: str) -> None:
    """One after the other, as one step. HookFailed at the first that fails, is not there or takes too long."""
    hooks = of(deploy.blueprint, when)
    if not hooks:
        return
    async with deploy.journal.step(when) as note:
        for hook in hooks:
            await _run(deploy, when, hook)
        note.detail = "; ".join(hook.run for hook in hooks)


def of(blueprint: Blueprint, when: str) -> tuple[Hook, ...]:
    return blueprint.hooks.pre_deploy if when == PRE else blueprint.hooks.post_deploy


async def _run(deploy: Deploy, when: str, hook: Hook) -> None:
    said: collections.deque[str] = collections.deque(maxlen=TAIL)
    try:
        done = await _execute(deploy, when, hook, said)
    except TimeoutError:
        problem = f"was ended after {duration_text(hook.timeout)}"
    except StartFailed as error:
        problem = f"cannot be started: {error.why or error.what}"
    else:
        if not done.code:
            return
        problem = "ran out of memory" if done.out_of_memory else f"exited with {done.code}"
    name = f"{when} `{hook.run}`"
    log = "\n".join(said)
    if when == PRE:
        hint = f"see its output; golive run -s {hook.service} tries it in the release that is live"
        raise HookFailed(f"{name} {problem}", where=hook.service, hint=hint, log=log)
    raise HookFailed(
        f"release {deploy.release} is live, but {name} {problem}",
        where=hook.service,
        hint=f"golive run -s {hook.service} runs it again, golive rollback goes back",
        log=log,
    )


async def _execute(deploy: Deploy, when: str, hook: Hook, said: collections.deque[str]) -> Completed:
    host, place, name = deploy.host, deploy.place, hook.service or ""
    artifact = host.builder.store.get(deploy.artifacts[name])
    if artifact is None:
        raise StartFailed(f"the artifact of {name} is gone")
    values = host.state.release_environments(place, deploy.release).get(name, {})
    env = process_environment(host, place, artifact, {key: value.reveal() for key, value in values.items()})
    env |= about(deploy.deployment, when, deploy.release)
    limits = deploy.blueprint.services[name].limits
    unit = unit_name(deploy.deployment)

    def remember(id: ProcessId) -> None:
        host.state.remember_process(unit, id.pid, id.started, 0)

    with _Log(log_path(host, deploy.deployment, when)) as log:

        def line(text: str) -> None:
            said.append(text)
            deploy.journal.log(when, text)
            log.write(deploy.journal.mask(text))

        try:
            return await processes.run(
                with_port(start_argv(hook.run), env),
                env=env,
                cwd=artifact.app,
                user=host.app_user(place.app),
                limits=Limits(limits.memory, limits.cpu, limits.files),
                timeout=hook.timeout.total_seconds(),
                on_line=line,
                name=unit,
                known=remember,
            )
        finally:
            host.state.forget_process(unit)


def about(deployment: Deployment, when: str, release: int) -> dict[str, str]:
    """What a hook is told beside the environment of its service."""
    found = {
        "GOLIVE_HOOK": when,
        "GOLIVE_RELEASE": str(release),
        "GOLIVE_DEPLOYMENT": str(deployment.id),
        "GOLIVE_DEPLOYMENT_KIND": deployment.kind,
        "GOLIVE_ACTOR": deployment.actor,
    }
    return found | ({"GOLIVE_PREVIOUS_RELEASE": str(deployment.previous)} if deployment.previous else {})


def unit_name(deployment: Deployment) -> str:
    """One hook of a deployment runs at a time."""
    return f"{deployment.place}/hook/{deployment.id}"


def log_path(host: Host, deployment: Deployment, when: str) -> Path:
    """As if it were a service's, so that `golive logs` shows it."""
    return host.home.logs(*deployment.place) / f"{when.replace('_', '-')}.0.log"


class _Log:
    """Appends lines to a file of the app's logs. A full disk does not stop the hook."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> _Log:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def write(self, text: str) -> None:
        try:
            os.write(self._file, text.encode(errors="replace") + b"\n")
        except OSError:
            return


# After the daemon's death


async def end_left_over(host: Host, deployment: Deployment) -> None:
    """Nobody hears what the hook of an interrupted deployment says any more, nor how it ends."""
    unit = unit_name(deployment)
    known = host.state.process(unit)
    if known is None:
        return
    if process := processes.adopt(ProcessId(known[0], known[1])):
        await process.stop(GRACE)
    host.state.forget_process(unit)


def cut_short(host: Host, deployment: Deployment, when: str) -> HookFailed | None:
    """What to say of hooks that the daemon's death interrupted, or kept from running; they are not run again."""
    step = next((s for s in host.state.steps(deployment.id) if s.name == when), None)
    if when == PRE:
        if step is None or step.state == "done":
            return None
        return HookFailed(
            "pre_deploy was interrupted, and the deployment undone",
            why="the daemon ended in the middle of it; what it had done by then stands",
            hint="look at golive logs pre-deploy before you deploy again: it then runs from its beginning",
        )
    if deployment.kind == "restart" or deployment.release is None or (step and step.state == "done"):
        return None
    hooks = of(host.release_blueprint(deployment.place, deployment.release), POST)
    if not hooks:
        return None
    what = "was interrupted" if step else "was not run"
    return HookFailed(
        f"release {deployment.release} is live, but post_deploy {what}",
        why="the daemon ended while the deployment was under way; it is not run by itself again",
        hint=f"golive run -s {hooks[0].service} runs its command",
    )
