"""Python services from other tools' lock files, and from a workspace of uv."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path

from building import build, run_tool, running, services, write
from uv import find_uv_bin

from golive.build.builder import Builder

APP = """
import json
import itsdangerous
from wsgiref.simple_server import make_server
import os

def app(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps([itsdangerous.__name__, WORD]).encode()]

make_server("127.0.0.1", int(os.environ["PORT"]), app).serve_forever()
"""
TOML = 'name = "shop"\n[services.api]\ncommand = "python main.py"\nbuild.builder = "python"\n'


def hashes(requirement: str) -> list[str]:
    argv = [find_uv_bin(), "pip", "compile", "--generate-hashes", "--no-header", "-q", "-"]
    done = subprocess.run(argv, input=requirement, text=True, capture_output=True, check=True)
    return re.findall(r"--hash=(sha256:\w+)", done.stdout)


async def test_a_lock_file_of_pipenv_is_installed_with_its_hashes(
    builder: Builder, checkout: Path, tmp_path: Path
) -> None:
    pinned = {"version": "==2.2.0", "hashes": hashes("itsdangerous==2.2.0")}
    absent = {"version": "==306", "hashes": ["sha256:" + "0" * 64], "markers": "sys_platform == 'win32'"}
    lock = {"_meta": {}, "default": {"itsdangerous": pinned, "pywin32": absent}, "develop": {}}
    write(checkout, {"golive.toml": TOML, "Pipfile.lock": json.dumps(lock), "main.py": "WORD = 1" + APP})
    built, log = await build(builder, services(checkout)["api"])
    assert "dependencies: Pipfile.lock" in log
    async with running(built.artifact, tmp_path / "log") as ask:
        assert await asyncio.to_thread(ask, "/") == (200, '["itsdangerous", 1]')

    lock["_meta"] = {"hash": "another"}
    write(checkout, {"Pipfile.lock": json.dumps(lock), "main.py": "WORD = 2" + APP})
    again, _ = await build(builder, services(checkout)["api"])
    assert (again.cached, again.layer_cached) == (False, True)


async def test_a_member_of_a_uv_workspace_imports_the_packages_it_depends_on(
    builder: Builder, checkout: Path, tmp_path: Path
) -> None:
    member = '[project]\nname = "{}"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{}]\n'
    source = "[tool.uv.sources]\ncore = { workspace = true }\n"
    write(
        checkout,
        {
            "golive.toml": TOML.replace("command", 'source = "services/api"\ncommand', 1),
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["services/*", "libs/*"]\n',
            "services/api/pyproject.toml": member.format("api", '"core", "itsdangerous==2.2.0"') + source,
            "services/api/main.py": "from core import WORD" + APP,
            "services/jobs/pyproject.toml": member.format("jobs", ""),
            "services/jobs/jobs.py": "",
            "libs/core/pyproject.toml": member.format("core", ""),
            "libs/core/src/core/__init__.py": "WORD = 'one'\n",
        },
    )
    run_tool([find_uv_bin(), "lock", "-q"], checkout)
    (checkout / "services/jobs/jobs.py").write_text("changed")
    built, _ = await build(builder, services(checkout)["api"])
    async with running(built.artifact, tmp_path / "log") as ask:
        assert await asyncio.to_thread(ask, "/") == (200, '["itsdangerous", "one"]')

    write(checkout, {"services/jobs/jobs.py": "changed again"})
    assert (await build(builder, services(checkout)["api"]))[0].cached
    write(checkout, {"libs/core/src/core/__init__.py": "WORD = 'two'\n"})
    again, _ = await build(builder, services(checkout)["api"])
    assert (again.cached, again.layer_cached) == (False, True)
    async with running(again.artifact, tmp_path / "log") as ask:
        assert await asyncio.to_thread(ask, "/") == (200, '["itsdangerous", "two"]')
