"""Which paths of a domain each service gets: those that its code answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from golive.blueprint.checkout import Checkout
from golive.importers.answers import served_prefixes
from golive.importers.propose import propose

MakeCheckout = Callable[[Mapping[str, str]], Checkout]
GO = {"api/go.mod": "module x\n\ngo 1.22\n"}
NEXT = {
    "web/package.json": '{"scripts": {"build": "next build", "start": "next start"}, "dependencies": {"next": "15"}}'
}


@pytest.mark.parametrize(
    ("file", "text", "prefixes"),
    [
        ("main.go", 'mux.HandleFunc("GET /api/v1/a", a)\nmux.Handle("POST /api/v1/b/{id}", b)', ["/api/v1"]),
        ("main.go", 'mux.HandleFunc("/api/v1/a", a)\nmux.HandleFunc("/api/v2/a", a)', ["/api"]),
        ("main.go", 'mux.HandleFunc("GET /health", h)\nmux.HandleFunc("/api/a", a)', ["/api", "/health"]),
        ("main.go", 'r.Route("/api/v1", func(r chi.Router) { r.Get("/users", u) })', ["/api/v1"]),
        ("main.go", 'v := gin.Default().Group("/api/v1")\nv.GET("/users", u)', ["/api/v1"]),
        ("main.go", 'e := echo.New()\ne.GET("/v1/users", u)\ne.GET("/readyz", r)', ["/v1", "/readyz"]),
        ("main.go", 'app.Get("/orders/:id", f)', ["/orders"]),
        ("main.go", 'app.Get("/users/:id", f)', []),
        ("main.go", 'http.Get(base + "/api/x")', []),
        ("server_test.go", 'get("/api/v1/x")', []),
        ("app.py", "router = APIRouter(prefix='/api/v2')\n@router.get('/x')\ndef x(): ...", ["/api/v2"]),
        ("shop/urls.py", "urlpatterns = [path('api/', include('x')), path('admin/', y)]", ["/api"]),
        ("app.js", "app.use('/api', router); app.get('/healthz', ok)", ["/api", "/healthz"]),
        ("app.config.js", "proxy: {'/api': 'http://x'}", []),
    ],
)
def test_the_prefixes_that_code_answers(checkout: MakeCheckout, file: str, text: str, prefixes: list[str]) -> None:
    assert served_prefixes(checkout({f"api/{file}": text}), "api", "orders") == prefixes


def test_a_front_end_keeps_the_paths_that_it_answers_itself(checkout: MakeCheckout) -> None:
    code = 'package main\nfunc main() { mux.HandleFunc("/api/orders", o); mux.HandleFunc("/api/users/{id}", u) }\n'
    pages = {"web/app/api/health/route.ts": "export const GET = () => null\n"}
    services = propose(checkout(GO | NEXT | pages | {"api/main.go": code}), "shop").table["services"]
    assert services["web"]["route"] == "/"
    assert services["api"]["route"] == ["/api/orders", "/api/users"]


def test_a_version_below_api_leaves_the_front_end_the_rest(checkout: MakeCheckout) -> None:
    code = 'package main\nfunc main() { mux.HandleFunc("GET /api/v1/orders", o); mux.HandleFunc("GET /health", h) }\n'
    pages = {"web/app/api/health/route.ts": "export const GET = () => null\n"}
    proposed = propose(checkout(GO | NEXT | pages | {"api/main.go": code}), "shop")
    assert proposed.problems == ()
    assert proposed.table["services"]["api"] == {"source": "api", "route": ["/api/v1", "/health"]}
    assert "ready when /health answers" in proposed.text
