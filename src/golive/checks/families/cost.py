"""Cost: what can grow without anybody noticing."""

from __future__ import annotations

import re

from golive.blueprint.models import ServiceKind
from golive.checks.app import App
from golive.checks.model import Evidence, Family, Fix, Outcome, Setting, not_applicable, passed, warned
from golive.units import human_size

family = Family("cost", "Whether the bill can surprise.")
_PAID = re.compile(
    r"OPENAI|ANTHROPIC|GEMINI|GOOGLE_AI|MISTRAL|COHERE|REPLICATE|HUGGINGFACE|GROQ|DEEPSEEK|HUME|ELEVENLABS|TWILIO|SENDGRID|"
    r"RESEND|MAILGUN|POSTMARK"
)


@family.app(
    "vendors",
    "What calls a paid service is limited for each client",
    "One script, one night, and the vendor's bill is five figures.",
    answers="threadr.6 akashic.6 rt-apps.6",
)
async def vendors(app: App) -> Outcome:
    paid = {name: v for name, v in app.blueprint.env.items() if _PAID.search(name)}
    open_services = {n: s for n, s in app.blueprint.services.items() if s.kind is ServiceKind.WEB and s.route}
    given = {
        n: [name for name, v in paid.items() if not v.services or n in v.services] for n, s in open_services.items()
    }
    callers = {n: names for n, names in given.items() if names}
    if not callers:
        return not_applicable("no service gets the key of a paid one that is known")
    limits = {n: [*(r.per for r in s.rate_limit), *(q.per for q in s.quota)] for n, s in open_services.items()}
    lines = [f"{n}: {', '.join(names)}; {len(limits[n])} limits" for n, names in callers.items()]
    evidence = Evidence("golive config", "\n".join(lines))
    bare = [n for n in callers if "client" not in limits[n]]
    if bare:
        settings = tuple(Setting(("services", name, "rate_limit"), "100/min") for name in bare)
        return warned(f"{', '.join(bare)} is not limited", evidence, fix=Fix("limit what a client may ask", settings))
    return passed(", ".join(callers), evidence)


@family.app(
    "instances",
    "Services cannot grow beyond the machine",
    "Instances that do not fit are swapped, and all of them are slow.",
    answers="threadr.6",
)
async def instances(app: App) -> Outcome:
    from golive.system.machine import inspect

    memory = inspect().memory
    asked = {n: s.scale.max * s.limits.memory for n, s in app.blueprint.services.items() if s.limits.memory}
    if not asked:
        return not_applicable("no service has a memory limit")
    lines = [f"{name}: up to {human_size(size)}" for name, size in asked.items()]
    evidence = Evidence("golive config", "\n".join([*lines, f"the machine has {human_size(memory)}"]))
    if sum(asked.values()) > memory:
        return warned(f"together {human_size(sum(asked.values()))}", evidence, fix="lower scale.max or limits.memory")
    return passed(f"together at most {human_size(sum(asked.values()))}", evidence)


@family.app(
    "bodies",
    "Requests have a largest size",
    "Who may send gigabytes fills the disk and the network that you pay for.",
    answers="threadr.6 rt-apps.11",
)
async def bodies(app: App) -> Outcome:
    most = app.blueprint.edge.max_body
    evidence = Evidence("golive config", f"edge.max_body = {human_size(most)}")
    if most > 10**9:
        return warned(human_size(most), evidence, fix=Fix("set less", (Setting(("edge", "max_body"), "100MB"),)))
    return passed(human_size(most), evidence)
