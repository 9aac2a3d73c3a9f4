"""What Drizzle's configuration says, where it says it plainly; where migrations are in a workspace."""

from __future__ import annotations

import pytest

from golive.blueprint.checkout import Checkout
from golive.blueprint.load import load
from golive.blueprint.migration_tools import drizzle_setting, drizzle_table, find
from golive.errors import BlueprintError

CONFIG = """
import { defineConfig } from "drizzle-kit";
// out: "./commented",
export default defineConfig({
  dialect: 'postgresql', schema: "./src/schema.ts", /* out: "./also" */
  out: "./src/db/migrations",
  dbCredentials: { url: "postgresql://localhost/x" },
  migrations: { table: 'done', schema: `app` },
});
"""


def test_a_configuration_is_read(tree):
    checkout = Checkout(tree({"drizzle.config.ts": CONFIG, "src/db/migrations/meta/_journal.json": "{}"}))
    assert drizzle_setting(checkout, ".", "out") == "./src/db/migrations"
    assert drizzle_table(checkout, "src/db/migrations") == ("app.done", "drizzle.config.ts")
    assert [(m.tool, m.source) for m in find(checkout, ())] == [("drizzle", "src/db/migrations")]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("drizzle.config.json", '{"out": "db", "migrations": {"table": "t"}}', ("db", "drizzle.t")),
        ("drizzle.config.json", "[1]", (None, None)),
        ("drizzle.config.json", "{", (None, None)),
        ("drizzle.config.mjs", "export default { out: process.env.OUT }", (None, None)),
        ("drizzle.config.js", "module.exports = { out: `${x}/db`, migrations: { schema: 's' } }", (None, "s.")),
        ("drizzle.config.ts", "const schema = 'a'; export default { schema: './s.ts' }", (None, None)),
    ],
)
def test_what_is_not_said_plainly_is_not_guessed(tree, name, text, expected):
    checkout = Checkout(tree({name: text}))
    table = drizzle_table(checkout, "drizzle")
    assert drizzle_setting(checkout, ".", "out") == expected[0]
    assert (table is None) if expected[1] is None else (table and table[0].startswith(expected[1]))


def test_a_hostile_configuration_takes_no_time(tree):
    checkout = Checkout(tree({"drizzle.config.ts": "migrations: {" * 20_000 + "out:" * 20_000 + "/*" * 20_000}))
    assert drizzle_table(checkout, "drizzle") is None


def test_a_tool_with_a_table_of_a_fixed_name_takes_no_other(tree):
    text = (
        'name = "a"\n[services.web]\nkind = "web"\ncommand = "x"\n[resources.db]\nengine = "postgres"\n'
        '[migrations]\nsource = "prisma/migrations"\ntable = "mine"\n'
    )
    folder = tree({"golive.toml": text, "prisma/migrations/1_a/migration.sql": ""})
    with pytest.raises(BlueprintError) as caught:
        load(folder / "golive.toml")
    assert "has no meaning for prisma" in str(caught.value)


@pytest.mark.parametrize("table", ['a"b', "a.b.c", "", "a b"])
def test_a_table_is_a_name(tree, table):
    text = (
        'name = "a"\n[services.web]\nkind = "web"\ncommand = "x"\n[resources.db]\nengine = "postgres"\n'
        f'[migrations]\nsource = "m"\ntool = "drizzle"\ntable = \'{table}\'\n'
    )
    with pytest.raises(BlueprintError, match="must be the name of a table"):
        load(tree({"golive.toml": text, "m/meta/_journal.json": "{}"}) / "golive.toml")
