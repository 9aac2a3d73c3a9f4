"""Other tools' lock files as pinned requirements."""

from __future__ import annotations

import pytest

from golive.build.python_locks import translate
from golive.errors import BuildFailed

POETRY = """
[[package]]
name = "uvicorn"
version = "0.30.1"
optional = false
files = [{file = "u.whl", hash = "sha256:aa"}, {file = "u.tar.gz", hash = "sha256:bb"}]
[package.dependencies]
click = ">=7"
colorama = {version = ">=0.4", optional = true, markers = "sys_platform == 'win32' and extra == 'standard'"}
httptools = {version = ">=0.5", optional = true, markers = "extra == 'standard'"}
pywin32 = {version = "*", markers = "platform_system == 'Windows'"}
[package.extras]
standard = ["colorama (>=0.4)", "httptools (>=0.5.0)"]

[[package]]
name = "click"
version = "8.1.7"
files = [{file = "c.whl", hash = "sha256:cc"}]

[[package]]
name = "httptools"
version = "0.6.1"
files = [{file = "h.whl", hash = "sha256:dd"}]

[[package]]
name = "colorama"
version = "0.4.6"
files = [{file = "o.whl", hash = "sha256:ee"}]

[[package]]
name = "pywin32"
version = "306"
files = [{file = "w.whl", hash = "sha256:ff"}]

[[package]]
name = "pytest"
version = "8.0.0"
files = [{file = "p.whl", hash = "sha256:00"}]
"""


def test_poetrys_lock_gives_what_the_main_dependencies_reach() -> None:
    project = """
[tool.poetry.dependencies]
python = "^3.11"
uvicorn = "^0.30"
[tool.poetry.group.dev.dependencies]
pytest = "*"
"""
    assert translate("poetry.lock", POETRY, project) == (
        "click==8.1.7 --hash=sha256:cc",
        "pywin32==306 ; (platform_system == 'Windows') --hash=sha256:ff",
        "uvicorn==0.30.1 --hash=sha256:aa --hash=sha256:bb",
    )


@pytest.mark.parametrize(
    "project",
    [
        '[project]\ndependencies = ["uvicorn[standard]>=0.30"]\n',
        '[tool.poetry.dependencies]\nuvicorn = {version = "*", extras = ["standard"]}\n',
    ],
)
def test_extras_are_followed(project: str) -> None:
    names = [line.split("==")[0] for line in translate("poetry.lock", POETRY, project)]
    assert names == ["click", "colorama", "httptools", "pywin32", "uvicorn"]


def test_poetry_2_writes_markers_itself() -> None:
    lock = """
[[package]]
name = "tomli"
version = "2"
markers = 'python_version < "3.11"'
files = [{hash = "sha256:aa"}]
"""
    project = "[project]\ndependencies = [\"tomli; python_version < '3.11'\"]\n"
    assert translate("poetry.lock", lock, project) == ('tomli==2 ; python_version < "3.11" --hash=sha256:aa',)


def test_pipenvs_lock_gives_its_default_section() -> None:
    lock = """{"_meta": {}, "default": {
        "flask": {"version": "==3.0.0", "hashes": ["sha256:aa"], "markers": "python_version >= '3.8'"},
        "click": {"version": "==8.1.7", "hashes": ["sha256:bb", "sha256:cc"]}},
      "develop": {"pytest": {"version": "==8.0.0"}}}"""
    assert translate("Pipfile.lock", lock, "") == (
        "click==8.1.7 --hash=sha256:bb --hash=sha256:cc",
        "flask==3.0.0 ; python_version >= '3.8' --hash=sha256:aa",
    )


def test_pdms_lock_gives_its_default_group() -> None:
    lock = """
[metadata]
lock_version = "4.5.0"
[[package]]
name = "fastapi"
version = "0.115.0"
groups = ["default"]
files = [{file = "f.whl", hash = "sha256:aa"}]
[[package]]
name = "fastapi"
version = "0.115.0"
extras = ["standard"]
groups = ["default"]
[[package]]
name = "pytest"
version = "8.0.0"
groups = ["dev"]
files = [{file = "p.whl", hash = "sha256:bb"}]
[[package]]
name = "colorama"
version = "0.4.6"
groups = ["default", "dev"]
marker = "sys_platform == \\"win32\\""
files = [{file = "c.whl", hash = "sha256:cc"}]
"""
    assert translate("pdm.lock", lock, "") == (
        'colorama==0.4.6 ; sys_platform == "win32" --hash=sha256:cc',
        "fastapi==0.115.0 --hash=sha256:aa",
    )


@pytest.mark.parametrize(
    ("name", "lock", "words"),
    [
        ("poetry.lock", "[[package", "poetry.lock cannot be read"),
        ("Pipfile.lock", "[]", "Pipfile.lock cannot be read"),
        ("Pipfile.lock", "{}", "Pipfile.lock cannot be read"),
        ("pdm.lock", "package = 3", "pdm.lock cannot be read"),
        ("Pipfile.lock", '{"default": {"own": {"path": "./own"}}}', "takes own from ./own"),
        (
            "Pipfile.lock",
            '{"default": {"own": {"git": "https://example.com/x.git"}}}',
            "takes own from https://example.com/x.git",
        ),
        ("Pipfile.lock", '{"default":' + "[" * 100_000, "Pipfile.lock cannot be read"),
    ],
)
def test_what_cannot_be_installed_is_said(name: str, lock: str, words: str) -> None:
    with pytest.raises(BuildFailed) as raised:
        translate(name, lock, "")
    assert words in raised.value.what
    assert raised.value.hint
