"""Go services built with the real Go, and started from what was built."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from building import build, running, services, write

from golive.build.builder import Builder
from golive.errors import BuildFailed
from golive.system.files import remove_tree

MAIN = """
package main

import (
	"net/http"
	"os"

	"example.com/shared"
)

func main() {
	http.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		page, _ := os.ReadFile("templates/page.html")
		w.Write([]byte(shared.Word + string(page)))
	})
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
"""
FILES = {
    "golive.toml": 'name = "shop"\n[services.api]\nsource = "api"\n[services.jobs]\nsource = "jobs"\nkind = "worker"\n',
    "go.work": "go 1.21\n\nuse (\n\t./api\n\t./shared\n\t./jobs\n)\n",
    "api/go.mod": "module example.com/api\n\ngo 1.21\n\nrequire example.com/shared v0.0.0\n",
    "api/cmd/server/main.go": MAIN,
    "api/templates/page.html": "<p>page</p>",
    "api/migrations/001_a.sql": "select 1;",
    "shared/go.mod": "module example.com/shared\n\ngo 1.21\n",
    "shared/shared.go": 'package shared\n\nconst Word = "one"\n',
    "jobs/go.mod": "module example.com/jobs\n\ngo 1.21\n",
    "jobs/main.go": "package main\n\nfunc main() {\n\tselect {}\n}\n",
}


async def test_a_member_of_a_workspace_is_built_started_and_built_again_only_for_what_it_uses(
    builder: Builder, checkout: Path, tmp_path: Path
) -> None:
    write(checkout, FILES)
    built, log = await build(builder, services(checkout)["api"])
    assert "$ go build" in log
    assert sorted(
        p.relative_to(built.artifact.app).as_posix() for p in built.artifact.app.rglob("*") if p.is_file()
    ) == [
        "bin/server",
        "migrations/001_a.sql",
        "templates/page.html",
    ]
    async with running(built.artifact, tmp_path / "log") as ask:
        assert await asyncio.to_thread(ask, "/health") == (200, "one<p>page</p>")

    again, _ = await build(builder, services(checkout)["api"])
    assert again.cached

    write(checkout, {"jobs/main.go": FILES["jobs/main.go"] + "// changed\n"})
    assert (await build(builder, services(checkout)["api"]))[0].cached

    write(checkout, {"shared/shared.go": 'package shared\n\nconst Word = "two"\n'})
    changed, _ = await build(builder, services(checkout)["api"])
    assert not changed.cached
    async with running(changed.artifact, tmp_path / "log") as ask:
        assert (await asyncio.to_thread(ask, "/health"))[1].startswith("two")


async def test_a_program_is_static_stripped_and_the_same_wherever_it_is_built(builder: Builder, checkout: Path) -> None:
    write(
        checkout,
        {
            "go.mod": "module a\n\ngo 1.21\n",
            "main.go": FILES["jobs/main.go"],
            "golive.toml": 'name = "a"\n[services.a]\n',
        },
    )
    built, _ = await build(builder, services(checkout)["a"])
    content = (built.artifact.app / "bin/a").read_bytes()
    assert bytes(checkout) not in content
    assert b".tmp-" not in content
    assert b".debug_info" not in content
    remove_tree(built.artifact.path)
    other, _ = await build(builder, services(checkout)["a"])
    assert (other.artifact.app / "bin/a").read_bytes() == content


async def test_a_command_of_ones_own(builder: Builder, checkout: Path) -> None:
    line = "go build -ldflags '-X main.version=7' -o out/prog ."
    toml = f'name = "a"\n[services.a.build]\ncommand = "{line}"\noutput = "out/prog"\n'
    code = 'package main\n\nvar version = "0"\n\nfunc main() {\n\tprintln("version " + version)\n}\n'
    write(checkout, {"golive.toml": toml, "go.mod": "module a\n\ngo 1.21\n", "main.go": code})
    built, _ = await build(builder, services(checkout)["a"])
    assert built.artifact.argv == ("./out/prog",)
    done = await asyncio.create_subprocess_exec(built.artifact.app / "out/prog", stderr=asyncio.subprocess.PIPE)
    assert (await done.communicate())[1] == b"version 7\n"


@pytest.mark.parametrize(
    ("files", "what", "hint"),
    [
        ({"main.go": "package main\n\nfunc main() { x := 1 }\n"}, "the Go code of a does not compile", None),
        (
            {
                "go.mod": "module a\n\ngo 1.21\n\nrequire example.com/absent v1.0.0\n",
                "main.go": 'package main\n\nimport _ "example.com/absent"\n\nfunc main() {}\n',
            },
            "the go.mod of a does not agree",
            "go mod tidy",
        ),
        ({"go.mod": "module a\n\ngo 9.1\n"}, "no Go >=9.1 is on this machine", "build.go"),
        (
            {"golive.toml": 'name = "a"\n[services.a.build]\ncommand = "true"\n'},
            "the build made no program at bin/a",
            "go build -o bin/a",
        ),
        (
            {"golive.toml": 'name = "a"\n[services.a.build]\ncommand = "exit 3"\n'},
            "the build command of a exited with 3",
            None,
        ),
    ],
)
async def test_failures_say_the_next_step(
    builder: Builder, checkout: Path, files: dict[str, str], what: str, hint: str | None
) -> None:
    base = {
        "golive.toml": 'name = "a"\n[services.a]\n',
        "go.mod": "module a\n\ngo 1.21\n",
        "main.go": "package main\n\nfunc main() {}\n",
    }
    write(checkout, base | files)
    with pytest.raises(BuildFailed) as raised:
        await build(builder, services(checkout)["a"])
    assert what in raised.value.what
    assert (hint or "") in (raised.value.hint or "")
    assert list(builder.store.list()) == []
