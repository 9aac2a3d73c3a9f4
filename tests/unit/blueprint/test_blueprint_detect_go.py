"""What small Go checkouts say about themselves."""

from __future__ import annotations

from typing import Any

import pytest

from golive.blueprint.checkout import Checkout
from golive.blueprint.detect import detect_service
from golive.blueprint.go_routes import routes

MAIN = "package main\n\nfunc main() {\n}\n"
MODULE = "module example.com/team/shop/v2\n\ngo 1.24\n"


def found(tree: Any, files: dict[str, str], **given: Any) -> dict[str, Any]:
    detection = detect_service(Checkout(tree(files)), given)
    assert detection.faults == []
    return {".".join(map(str, path)): value for path, (value, _) in detection.values.items()}


LAYOUTS = {
    "at the top": ({"main.go": MAIN}, ".", "bin/shop"),
    "cmd/server": ({"cmd/server/main.go": MAIN}, "./cmd/server", "bin/server"),
    "any cmd": ({"cmd/frontdoor/main.go": MAIN}, "./cmd/frontdoor", "bin/frontdoor"),
    "cmd/server before tools": ({"cmd/server/main.go": MAIN, "cmd/seed/main.go": MAIN}, "./cmd/server", "bin/server"),
    "the top before tools": ({"main.go": MAIN, "cmd/seed/main.go": MAIN}, ".", "bin/shop"),
    "named as the module": ({"cmd/shop/main.go": MAIN, "cmd/seed/main.go": MAIN}, "./cmd/shop", "bin/shop"),
    "scripts and tests are none": (
        {
            "cmd/api/main.go": MAIN,
            "tools/gen.go": f"//go:build ignore\n\n{MAIN}",
            "a_test.go": MAIN,
            "vendor/x/main.go": MAIN,
        },
        "./cmd/api",
        "bin/api",
    ),
    "another module inside": (
        {"main.go": MAIN, "other/go.mod": "module other", "other/main.go": MAIN},
        ".",
        "bin/shop",
    ),
}


@pytest.mark.parametrize(("files", "main", "output"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_program_is_found(tree: Any, files: dict[str, str], main: str, output: str) -> None:
    values = found(tree, {"go.mod": MODULE, **files})
    assert (values["build.package"], values["build.output"], values["command"]) == (main, output, f"./{output}")
    assert (values["kind"], values["build.builder"], values["build.go"]) == ("web", "go", ">=1.24")


def test_several_programs_need_a_word(tree: Any) -> None:
    files = {"go.mod": MODULE, "cmd/one/main.go": MAIN, "cmd/two/main.go": MAIN}
    (fault,) = detect_service(Checkout(tree(files)), {}).faults
    assert fault.path == ("build", "package")
    assert fault.message == "more than one program in the checkout: ./cmd/one, ./cmd/two"
    assert "build.package" in str(fault.hint)
    values = found(tree, files, build={"package": "./cmd/two"})
    assert values["command"] == "./bin/two"


def test_a_library_is_no_service(tree: Any) -> None:
    (fault,) = detect_service(
        Checkout(tree({"go.mod": MODULE, "shop.go": "package shop"})), {"build": {"builder": "go"}}
    ).faults
    assert fault.message == "no main package in the checkout"


def test_a_command_says_where_the_program_goes(tree: Any) -> None:
    values = found(tree, {"go.mod": MODULE, "main.go": MAIN}, command="./server --port $PORT")
    assert values["build.output"] == "server"
    assert "command" not in values


@pytest.mark.parametrize(
    ("module", "version"),
    [
        ("module a\n\ngo 1.21\n", ">=1.21"),
        ("module a\n\ngo 1.22.3\n\ntoolchain go1.24.1\n", ">=1.24.1"),
        ("module a\n", None),
    ],
)
def test_the_version_of_go(tree: Any, module: str, version: str | None) -> None:
    assert found(tree, {"go.mod": module, "main.go": MAIN}).get("build.go") == version


def test_a_member_of_a_go_workspace(tree: Any) -> None:
    files = {
        "go.work": "go 1.26\n\nuse ./api\nuse (\n\t./shared\n)\n",
        "api/go.mod": "module api\n\ngo 1.24\n",
        "api/main.go": MAIN,
        "shared/go.mod": "module shared\n",
        "lone/go.mod": "module lone\n",
        "lone/main.go": MAIN,
    }
    values = found(tree, files, source="api")
    assert (values["build.workspace"], values["build.go"], values["command"]) == (".", ">=1.26", "./bin/api")
    assert "build.workspace" not in found(tree, files, source="lone")


def test_a_folder_of_a_module_above(tree: Any) -> None:
    values = found(
        tree, {"go.mod": MODULE, "cmd/api/main.go": MAIN, "internal/x.go": "package internal"}, source="cmd/api"
    )
    assert (values["build.workspace"], values["build.package"], values["command"]) == (".", ".", "./bin/api")


def test_health_paths(tree: Any) -> None:
    code = 'package main\nfunc routes() {\n r.GET("/readyz", ready)\n mux.HandleFunc("GET /livez", live)\n}\n'
    values = found(tree, {"go.mod": MODULE, "main.go": MAIN, "internal/routes.go": code})
    assert (values["health.ready"], values["health.live"]) == ({"path": "/readyz"}, {"path": "/livez"})


def test_workers_have_no_health_path(tree: Any) -> None:
    values = found(tree, {"go.mod": MODULE, "main.go": MAIN + '// mux.HandleFunc("/health", h)'}, kind="worker")
    assert values["command"] == "./bin/shop"
    assert "health.ready" not in values


@pytest.mark.parametrize(
    ("code", "paths"),
    [
        ('mux.HandleFunc("GET /health", h)\nmux.Handle("POST /x", h)', ["/health"]),
        ("r.Get(`/health`, h)", ["/health"]),
        ('r.Route("/api", func(r chi.Router) {\n r.Get("/health", h)\n})\nr.Get("/live", h)', ["/api/health", "/live"]),
        (
            'r.Route("/api", func(r chi.Router) { r.Route("/v1", func(r chi.Router) { r.Get("/health", h) }) })',
            ["/api/v1/health"],
        ),
        ('api := e.Group("/api")\nv1 := api.Group("/v1")\nv1.GET("/health", h)', ["/api/v1/health"]),
        ('api := r.PathPrefix("/api").Subrouter()\napi.HandleFunc("/health", h)', ["/api/health"]),
        ('app.Get("/health", func(c *fiber.Ctx) error { return nil })', ["/health"]),
        ('x := "}"\nr.Route("/api", func(r chi.Router) { s := "{" })\nr.Get("/health", h)', ["/health"]),
    ],
)
def test_routes_of_a_program_with_the_prefixes_of_their_groups(tree: Any, code: str, paths: list[str]) -> None:
    assert routes(Checkout(tree({"main.go": f"package main\nfunc main() {{\n{code}\n}}\n"})), ".") == paths


def test_a_router_that_another_function_mounts_is_below_its_prefix_or_unknown(tree: Any) -> None:
    main = 'package main\nfunc main() {\n r.Mount("/api", admin())\n health(api)\n r.Get("/ready", h)\n}\n'
    parts = (
        'package main\nfunc admin() http.Handler {\n r := chi.NewRouter()\n r.Get("/health", h)\n return r\n}\n'
        'func health(g *gin.RouterGroup) {\n g.GET("/live", h)\n v := g.Group("/v1")\n v.GET("/livez", h)\n}\n'
    )
    assert routes(Checkout(tree({"main.go": main, "parts.go": parts})), ".") == ["/ready", "/api/health"]
