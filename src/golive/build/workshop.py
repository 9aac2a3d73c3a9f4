"""One build under way: its folders, its environment and the tools it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from golive.build import source
from golive.build.environment import build_environment
from golive.build.plan import BuildPlan
from golive.build.seal import give
from golive.build.tools import Tools, tail
from golive.errors import BuildFailed
from golive.home import Home
from golive.system.files import private_directory
from golive.system.users import User
from golive.units import human_size


@dataclass(frozen=True)
class Workshop:
    """`app` becomes the artifact's; `scratch` and `build_home` are thrown away. `settings` reach the package index."""

    plan: BuildPlan
    home: Home
    tools: Tools
    settings: Mapping[str, str] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def open(
        cls, plan: BuildPlan, home: Home, tools: Tools, settings: Mapping[str, str], environ: Mapping[str, str]
    ) -> Workshop:
        workshop = cls(plan, home, tools, settings, environ)
        for folder in (workshop.build_home, uv_cache(home, tools.user)):
            if not folder.exists():
                give(private_directory(folder), tools.user)
        return workshop

    @property
    def app(self) -> Path:
        return self.tools.place / "app"

    @property
    def scratch(self) -> Path:
        return self.tools.place / "scratch"

    @property
    def build_home(self) -> Path:
        return self.tools.place / "home"

    def env(self, *path: Path) -> dict[str, str]:
        """The build's environment with those folders first on its PATH."""
        declared = self.plan.request.env
        return build_environment(declared, settings=self.settings, home=self.build_home, path=path)

    def copy_source(self, destination: Path) -> None:
        tree = self.plan.tree
        source.copy(tree, destination)
        self.tools.log(f"source: {len(tree.entries)} files, {human_size(tree.bytes)}")

    async def run_command(self, cwd: Path, env: Mapping[str, str], *, give_first: bool = True) -> None:
        """The recipe's own shell line, when it has one. Raises BuildFailed with the end of its output.

        `give_first` hands the folder to the user that builds; not where files in it are shared with a layer.
        """
        line = self.plan.request.service.build.command
        if line is None:
            return
        if give_first:
            give(cwd, self.tools.user)
        self.tools.log(f"$ {line}")
        done = await self.tools.run(["/bin/sh", "-c", line], env=env, cwd=cwd)
        if done.code != 0:
            raise BuildFailed(
                f"the build command of {self.plan.request.name} exited with {done.code}",
                where=f"services.{self.plan.request.name}.build.command",
                why=f"$ {line}",
                log=tail(done.output),
            )


def uv_cache(home: Home, user: User | None) -> Path:
    """Apart for each user that builds: what one wrote, another does not trust."""
    return home.cache / (f"uv-{user.name}" if user else "uv")
