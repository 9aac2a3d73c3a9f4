"""Variables that end up in a browser, and those that must not."""

from __future__ import annotations

import json

import pytest

from golive.blueprint.load import load
from golive.errors import BlueprintError

FRONT_END = json.dumps({"scripts": {"build": "vite build"}, "devDependencies": {"vite": "7"}})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            'API_URL = { client = true, default = "x" }',
            "env.API_URL.client: vite keeps it from the browser: only variables that start with `VITE_` get there",
        ),
        ('VITE_API_URL = { client = true, default = "x" }', None),
        (
            'VITE_KEY = { type = "secret" }',
            "env.VITE_KEY.type: a secret whose name starts with `VITE_` would end up in the browser (vite, `web`)",
        ),
        ('KEY = { type = "secret", client = true }', "env.KEY.client: a secret would end up in the browser"),
        ('API_URL = { client = true, default = "x", for = ["api"] }', None),
        ('KEY = { type = "secret", for = ["api"] }', None),
    ],
)
def test_what_reaches_the_browser_carries_the_frameworks_prefix(tree, table, words):
    services = 'web.source = "web"\napi = { source = "api", route = "/api", command = "x $PORT" }'
    toml = f'name = "a"\n[services]\n{services}\n[env]\n{table}\n'
    checkout = tree({"golive.toml": toml, "web/package.json": FRONT_END, "api/x.py": ""})
    if words is None:
        assert load(checkout).resolved.blueprint.env
        return
    with pytest.raises(BlueprintError) as raised:
        load(checkout)
    assert words in str(raised.value)


def test_a_prefix_of_the_projects_own_is_left_to_it(tree):
    toml = 'name = "a"\n[services.web]\n[env]\nAPP_URL = { client = true, default = "x" }\n'
    config = "export default { envPrefix: 'APP_' }"
    assert load(tree({"golive.toml": toml, "package.json": FRONT_END, "vite.config.ts": config})).resolved.blueprint.env
