"""What a build would do, without doing it: the inputs, read and named by their key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from golive.blueprint.build_policy import BuildPolicy
from golive.blueprint.models import Service, ServiceKind
from golive.build.command import start_argv
from golive.build.dependencies import Dependencies, read_dependencies
from golive.build.interpreters import Interpreter, choose_python
from golive.build.key import ArtifactInputs, LayerInputs, artifact_key, layer_key, this_platform
from golive.build.node_dependencies import NodeDependencies, node_layer_key, read_node_dependencies
from golive.build.source import Tree, scan
from golive.build.toolchains import Toolchain, choose_toolchain
from golive.build.workspace import inner_of, part_of_workspace
from golive.errors import BuildFailed
from golive.system.users import User


@dataclass(frozen=True)
class BuildRequest:
    """One service of a checkout to build. `build_env` are the variables marked for the build, never run-time secrets.

    `user` is who the app runs as, None when that is golive's own user.
    """

    app: str
    name: str
    service: Service
    checkout: Path
    policy: BuildPolicy = field(default_factory=BuildPolicy)
    build_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: User | None = None

    @property
    def env(self) -> dict[str, str]:
        """The variables declared for the build."""
        return {**self.build_env, **self.service.build.env}


@dataclass(frozen=True)
class BuildPlan:
    """A request with its inputs read. `key` names the artifact, `layer_key` its dependency layer.

    `tree` is of the workspace where there is one, and `inner` the service's folder in it, else "".
    """

    request: BuildRequest
    tree: Tree = field(repr=False)
    key: str
    argv: tuple[str, ...] | None = None
    python: Interpreter | None = None
    dependencies: Dependencies | None = None
    layer_key: str | None = None
    inner: str = ""
    toolchain: Toolchain | None = None
    node: NodeDependencies | None = None


def plan_build(request: BuildRequest, cache: Path) -> BuildPlan:
    """Read the inputs of a build. Raises BuildFailed when they cannot be built from."""
    service = request.service
    recipe = service.build
    tree, inner = _tree(request, cache)
    python = dependencies = layer = toolchain = node = text = None
    if recipe.builder == "python":
        python = choose_python(recipe.python, request.user, cache=cache)
        dependencies = read_dependencies(tree.root, recipe.dependencies, inner)
        layer = _layer(request, tree, python, dependencies)
    elif recipe.builder == "go":
        toolchain = choose_toolchain("go", recipe.go, request.user, cache=cache)
    elif recipe.builder == "node":
        toolchain = choose_toolchain("node", recipe.node, request.user, cache=cache)
        node = read_node_dependencies(tree, recipe, inner)
        layer = node_layer_key(node, toolchain, production=True)
    elif recipe.builder == "docker":
        text = _dockerfile(request, tree)
    settled = {"framework", "dependencies", "extra", "python", "node", "go", "workspace", "package_manager", "env"}
    settled |= {"dockerfile", "target", "args"}
    inputs = ArtifactInputs(
        source=tree.digest,
        builder=recipe.builder,
        recipe=recipe.model_dump(mode="json", exclude=settled)
        | {"inner": inner, "toolchain": toolchain.label if toolchain else None}
        | ({"dockerfile": text, "target": recipe.target, "args": recipe.args} if text is not None else {}),
        start=service.command,
        platform=this_platform(),
        layer=layer,
        static=(service.spa, service.clean_urls) if service.kind is ServiceKind.STATIC else None,
        env=request.env,
    )
    key = artifact_key(inputs)
    return BuildPlan(request, tree, key, _argv(request), python, dependencies, layer, inner, toolchain, node)


def _tree(request: BuildRequest, cache: Path) -> tuple[Tree, str]:
    """The service's source, or what of its workspace it is made of."""
    source, workspace = request.service.source, request.service.build.workspace
    if workspace is None:
        return scan(request.checkout, source, cache=cache), ""
    try:
        inner = inner_of(workspace, source)
    except ValueError as error:
        where = f"services.{request.name}.build.workspace"
        raise BuildFailed(f"the workspace does not hold the service: {error}", where=where) from None
    return part_of_workspace(
        scan(request.checkout, workspace, cache=cache), inner, request.service.build.builder
    ), inner


def _dockerfile(request: BuildRequest, tree: Tree) -> str:
    """Its text: an ignore file may keep it out of the tree, and it decides the image all the same."""
    name = request.service.build.dockerfile or "Dockerfile"
    try:
        return (tree.root / name).read_text(encoding="utf-8")
    except (OSError, ValueError):
        where = f"services.{request.name}.build.dockerfile"
        what = f"there is no {name} that can be read in {request.service.source}"
        raise BuildFailed(what, where=where, hint="`build.dockerfile` names it") from None


def _layer(request: BuildRequest, tree: Tree, python: Interpreter, dependencies: Dependencies | None) -> str:
    inputs = LayerInputs(
        dependencies=dependencies.digest if dependencies else None,
        extra=request.service.build.extra,
        python=python.version,
        python_path=str(python.path),
        platform=this_platform(),
        local=tree.digest if dependencies and dependencies.local else None,
    )
    return layer_key(inputs)


def _argv(request: BuildRequest) -> tuple[str, ...] | None:
    if request.service.command is None:
        return None
    try:
        return start_argv(request.service.command)
    except ValueError as error:
        where = f"services.{request.name}.command"
        raise BuildFailed(f"the start command cannot be read: {error}", where=where) from None
