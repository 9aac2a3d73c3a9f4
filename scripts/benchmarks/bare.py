"""The same builds with nothing but their tools, as a person without golive types them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import CommandFailedError
from golive.build.environment import client_settings
from golive.build.plan import BuildPlan
from golive.build.tools import NICE


class BareBuildError(CommandFailedError):
    """The tool itself could not build the example."""


@dataclass(frozen=True)
class Bare:
    """One service: `folder` is a copy of its checkout, `cache` what its tools keep, empty at first.

    The versions of the tools, their index and their priority are those that golive builds with.
    """

    plan: BuildPlan
    folder: Path
    cache: Path

    def build(self) -> float:
        """Seconds. BareBuildError with the end of what the tool said."""
        env = {**os.environ, **client_settings(os.environ), **self.plan.request.env, **self._env()}
        env["PATH"] = f"{self._tools()}:{env['PATH']}"
        source = self.folder / self.plan.request.service.source
        began = time.perf_counter()
        for line in self._lines():
            done = subprocess.run(
                ["nice", "-n", str(NICE), *line], cwd=source, env=env, check=False, capture_output=True, text=True
            )
            if done.returncode:
                said = (done.stdout + done.stderr)[-2000:]
                raise BareBuildError(f"{' '.join(line)} in {source} ended with {done.returncode}:\n{said}")
        return time.perf_counter() - began

    def _tools(self) -> Path:
        from uv import find_uv_bin

        toolchain = self.plan.toolchain
        return toolchain.bin if toolchain and toolchain.bin else Path(find_uv_bin()).parent

    def _lines(self) -> list[list[str]]:
        service = self.plan.request.service
        if self.plan.python is not None:
            venv = [["uv", "venv", "--quiet", "--allow-existing", "--python", str(self.plan.python.path)]]
            # Compiled, since a release is: where it is not, the first start pays for it.
            return [*venv, ["uv", "pip", "install", "--quiet", "--compile-bytecode", "-r", "requirements.txt"]]
        if service.build.builder == "go":
            return [["go", "build", "-ldflags", "-s -w", "-o", "server", service.build.package or "."]]
        return [["npm", "ci"], ["npm", "run", "build"]]

    def _env(self) -> dict[str, str]:
        return {
            "UV_CACHE_DIR": str(self.cache / "uv"),
            "GOCACHE": str(self.cache / "go-build"),
            "GOMODCACHE": str(self.cache / "go-mod"),
            "GOFLAGS": "-trimpath -modcacherw -buildvcs=false",
            "CGO_ENABLED": "0",
            "npm_config_cache": str(self.cache / "npm"),
            "NEXT_TELEMETRY_DISABLED": "1",
            "CI": "1",
        }


def forget(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
