"""Builds: the same everywhere, and from what is kept."""

from __future__ import annotations

import re
from pathlib import Path

from golive.checks.app import App
from golive.checks.model import Evidence, Family, Outcome, could_not_tell, failed, not_applicable, passed, warned

family = Family("build", "Whether what runs can be made again, and was tried before.")
_CI = (".github/workflows", ".gitlab-ci.yml", ".circleci", "Jenkinsfile", ".woodpecker.yml", ".forgejo/workflows")
_OTHERS = ("node_modules", ".git", ".venv", "venv", "dist", ".next", "__pycache__")
_TESTS = re.compile(r"(^|/)(tests?|__tests__|spec)(/|$)|(_test\.(go|py)|\.(test|spec)\.[jt]sx?|(^|/)test_[^/]+\.py)$")


def _files(folder: Path, depth: int = 4) -> list[str]:
    """Paths below a checkout, without what others made, at most 3000."""
    found: list[str] = []
    todo = [folder]
    while todo and len(found) < 3000:
        here = todo.pop()
        for path in sorted(here.iterdir()):
            name = path.relative_to(folder).as_posix()
            if path.is_dir() and not path.is_symlink():
                if (
                    path.name not in ("node_modules", ".git", ".venv", "venv", "dist", ".next")
                    and name.count("/") < depth
                ):
                    todo.append(path)
            else:
                found.append(name)
    return found


@family.app(
    "locked",
    "Dependencies are pinned",
    "Else tomorrow's build is another program, and nobody changed anything.",
    answers="threadr.3 rt-apps.11",
)
async def locked(app: App) -> Outcome:
    if app.checkout is None:
        return could_not_tell("the checkout is not here")
    loose, seen = [], []
    for name, service in app.blueprint.services.items():
        given = service.build.dependencies
        if not given:
            continue
        seen.append(f"{name}: {given}")
        root = app.checkout / (service.build.workspace or service.source)
        if given.endswith("requirements.txt"):
            try:
                text = (root / given).read_text(errors="replace")
            except OSError:
                continue
            lines = [line.partition("#")[0].strip() for line in text.splitlines()]
            bare = [
                line for line in lines if line and not line.startswith("-") and "==" not in line and "@" not in line
            ]
            if bare:
                loose.append(f"{name}: {given}: {', '.join(bare[:6])}")
        elif given.endswith(("pyproject.toml", "package.json")):
            loose.append(f"{name}: {given} is no lock file")
    evidence = Evidence("golive config", "\n".join(loose or seen) or "(no dependencies)")
    if loose:
        return warned(loose[0], evidence, fix="pin each with ==, or use uv.lock, package-lock.json, go.sum")
    if not seen:
        return not_applicable("no service has dependencies")
    return passed(", ".join(seen), evidence)


@family.app(
    "tests",
    "There are tests",
    "What nothing tries is tried by visitors.",
    answers="darasa.4 datifyy.10",
)
async def tests(app: App) -> Outcome:
    if app.checkout is None:
        return could_not_tell("the checkout is not here")
    found = [name for name in _files(app.checkout) if _TESTS.search(name)]
    if found:
        return passed(f"{len(found)} files", Evidence("files of the checkout", "\n".join(found[:8])))
    return warned(
        "none was found", Evidence("files of the checkout", "none is named like a test"), fix="write a first one"
    )


@family.app(
    "ci",
    "Something runs them for every change",
    "Tests that nobody runs are no tests.",
    answers="darasa.4",
)
async def ci(app: App) -> Outcome:
    if app.checkout is None:
        return could_not_tell("the checkout is not here")
    places = [folder for folder in (app.checkout, *list(app.checkout.parents)[:2]) if (folder / ".git").exists()]
    found = [name for folder in (app.checkout, *places) for name in _CI if (folder / name).exists()]
    if found:
        return passed(found[0], Evidence("files of the checkout", "\n".join(found)))
    if not places:
        return not_applicable("the checkout is no git repository")
    return warned(
        "none was found", Evidence("files of the checkout", "none of " + ", ".join(_CI)), fix="golive check in CI"
    )


@family.app(
    "artifacts",
    "What runs is what was built",
    "A file that was changed by hand is gone with the next deploy, and with it the fix.",
    answers="threadr.3",
)
async def artifacts(app: App) -> Outcome:
    status = await app.status()
    releases = (await app.fact("releases"))["releases"]
    live = next((one for one in releases if one["release"] == status["release"]), None)
    if live is None:
        return failed(f"release {status['release']} is not among the kept", app.said("releases", ""), fix="golive up")
    shown = "\n".join(f"{service}: {str(key)[:16]}" for service, key in live["artifacts"].items())
    return passed(f"{len(live['artifacts'])} artifacts by content", app.said("releases --json", shown))
