"""Dependencies: known holes, and versions that still get fixes."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

from golive.checks.app import App
from golive.checks.model import Evidence, Family, Outcome, could_not_tell, failed, not_applicable, passed, warned

family = Family("dependencies", "Whether what others wrote is still looked after.")
_ENDS = {
    "node": {16: date(2023, 9, 11), 18: date(2025, 4, 30), 20: date(2026, 4, 30), 22: date(2027, 4, 30)},
    "python": {8: date(2024, 10, 7), 9: date(2025, 10, 31), 10: date(2026, 10, 31), 11: date(2027, 10, 31)},
}
"""Last day of fixes: Node by major, Python by minor version; what is newer has longer."""
_AUDITS = re.compile(
    r"dependabot\.yml|renovate\.json|pip-audit|npm audit|pnpm audit|yarn audit|govulncheck|osv-scanner|trivy|snyk|grype"
)


@family.app(
    "holes",
    "No dependency has a known hole",
    "Most break-ins use one that has been known for months.",
    answers="rt-apps.11",
)
async def holes(app: App) -> Outcome:
    commands = {
        "python": "uvx pip-audit -r requirements.txt",
        "node": "npm audit --omit=dev",
        "go": "go run golang.org/x/vuln/cmd/govulncheck@latest ./...",
    }
    used = {s.build.builder for s in app.blueprint.services.values() if s.build.dependencies or s.build.builder == "go"}
    found = [commands[builder] for builder in sorted(used) if builder in commands]
    if not found:
        return not_applicable("no service has dependencies")
    places = [app.checkout, *list(app.checkout.parents)[:2]] if app.checkout else []
    watched = [f"{hit[0]} in {file.name}" for file in _automations(places) if (hit := _AUDITS.search(_text(file)))]
    if watched:
        return passed(watched[0], Evidence("what runs by itself in the checkout", "\n".join(watched)))
    shown = Evidence("what runs by itself in the checkout", "nothing that looks for known holes")
    return could_not_tell("golive sends no list of what you use to anybody", shown, fix=f"run {'; '.join(found)}")


def _automations(places: list[Path]) -> list[Path]:
    """Files that tell services and CI what to do."""
    found: list[Path] = []
    for place in places:
        found += [place / name for name in (".github/dependabot.yml", "renovate.json", ".gitlab-ci.yml")]
        found += sorted((place / ".github/workflows").glob("*.y*ml"))[:20]
    return [file for file in found if file.is_file()]


def _text(file: Path) -> str:
    """With its name, which says enough for some."""
    try:
        return f"{file.name}\n{file.read_text(encoding='utf-8', errors='replace')[:200_000]}"
    except OSError:
        return ""


@family.app(
    "runtime",
    "Python and Node still get fixes",
    "After its last day nobody mends a runtime's holes.",
    answers="rt-apps.11",
)
async def runtime(app: App) -> Outcome:
    today = datetime.now(UTC).date()
    old, lines = [], []
    for name, service in app.blueprint.services.items():
        for kind, text in (("node", service.build.node), ("python", service.build.python)):
            if not text or service.build.builder != kind:
                continue
            lines.append(f"{name}: {kind} {text}")
            numbers = re.search(r"(?:3\.)(\d+)" if kind == "python" else r"(\d+)", text)
            exact = not re.search(r"[>*]", text)
            end = _ENDS[kind].get(int(numbers[1])) if numbers and exact else None
            if end and end < today:
                old.append(f"{name}: {kind} {text} had its last fix on {end}")
    evidence = Evidence("golive config", "\n".join(lines) or "(none named: golive chooses)")
    if old:
        return failed(old[0], evidence, fix="ask for a newer one, and try it: golive up in a preview")
    return passed(", ".join(lines) or "golive chooses", evidence)


@family.app(
    "images",
    "Base images are named in full",
    "latest is another program every week.",
    answers="threadr.3",
)
async def images(app: App) -> Outcome:
    built = {n: s for n, s in app.blueprint.services.items() if s.build.dockerfile}
    if not built or app.checkout is None:
        return not_applicable("no service is built from a Dockerfile")
    loose, seen = [], []
    for name, service in built.items():
        file = app.checkout / service.source / str(service.build.dockerfile)
        try:
            text = file.read_text(errors="replace")
        except OSError as error:
            return could_not_tell(f"{file.name} cannot be read: {error.strerror}")
        stages = set(re.findall(r"(?im)^FROM\s+\S+\s+AS\s+(\S+)", text))
        for image in re.findall(r"(?im)^FROM\s+(?:--\S+\s+)*(\S+)", text):
            seen.append(f"{name}: {image}")
            last = image.rpartition("/")[2]
            known = image in stages or image == "scratch" or "$" in image or "@" in image
            if not known and (":" not in last or last.endswith(":latest")):
                loose.append(f"{name}: {image}")
    evidence = Evidence("FROM lines", "\n".join(seen))
    if loose:
        return warned(", ".join(loose), evidence, fix="name a version: python:3.13-slim")
    return passed(", ".join(seen), evidence)
