"""Compiled Python beside a service's source, so that instances neither compile nor write at start.

Bytecode is kept by content: of a service in which one line changed, one file is compiled. It is *unchecked*: Python
loads it without looking at the source's time, which a copy does not keep. The path inside is put right by the import
system (`_fix_co_filename`), so it may be shared by artifacts; hard links count who still uses it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from golive.build.interpreters import Interpreter
from golive.build.tools import Tools

PROGRAM = """
import os, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for line in sys.stdin.buffer.read().split(b"\\n"):
    if not line:
        continue
    name, source, target = map(os.fsdecode, line.split(b"\\0"))
    try:
        py_compile.compile(source, cfile=target, dfile=name, doraise=True, invalidation_mode=mode)
    except py_compile.PyCompileError as error:
        value = error.exc_value
        print(f"warning: {name} is not Python {sys.version_info[0]}.{sys.version_info[1]}: "
              f"{getattr(value, 'msg', value)} (line {getattr(value, 'lineno', '?')})", flush=True)
    except (OSError, ValueError, RecursionError) as error:
        print(f"warning: {name} is not compiled: {error}", flush=True)
"""


async def compile_modules(
    app: Path, digests: Mapping[str, str], python: Interpreter, *, cache: Path, tools: Tools
) -> int:
    """Compile those modules of `app` that were never compiled before; how many.

    `digests` are the SHA-256 of the modules by path in `app`. A file that is not valid Python (a template, an example)
    is a warning in the log, not a failure.
    """
    kept = _kept(cache, python)
    kept.mkdir(parents=True, exist_ok=True)
    missing = {digest: path for path, digest in digests.items() if not (kept / digest).exists()}
    if missing:
        lines = [os.fsencode(f"{path}\0{app / path}\0{kept / digest}") for digest, path in missing.items()]
        argv = [str(python.path), "-I", "-S", "-c", PROGRAM]
        await tools.run(argv, env={"LANG": "C.UTF-8"}, cwd=app, trusted=True, input=b"\n".join(lines))
    return len(missing)


def place_bytecode(app: Path, digests: Mapping[str, str], python: Interpreter, cache: Path) -> None:
    """Put the bytecode of `compile_modules` beside every module."""
    kept = _kept(cache, python)
    for path, digest in digests.items():
        _place(kept / digest, app / path, kept.name)


def _kept(cache: Path, python: Interpreter) -> Path:
    major, minor = python.numbers[:2]
    return cache / "bytecode" / f"cpython-{major}{minor}"


def modules(app: Path) -> dict[str, str]:
    """The digests of all modules below a folder, read anew: for a build whose command may have changed them."""
    found: dict[str, str] = {}
    for folder, _, names in os.walk(app):
        for name in names:
            path = Path(folder) / name
            if name.endswith(".py") and path.is_file() and not path.is_symlink():
                found[path.relative_to(app).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _place(kept: Path, module: Path, tag: str) -> None:
    target = f"{module.parent}/__pycache__/{module.name.removesuffix('.py')}.{tag}.pyc"
    try:
        os.link(kept, target)
    except FileNotFoundError:
        if kept.exists():
            os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)  # noqa: PTH103, PTH120 - a hot loop
            _place_in_folder(kept, target)
    except OSError:
        _place_in_folder(kept, target)


def _place_in_folder(kept: Path, target: str) -> None:
    """Linked, or copied where the file system has no links or has run out of them."""
    try:
        os.link(kept, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copyfile(kept, target)
