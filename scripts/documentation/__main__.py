"""scripts/docs reference [--check] · scripts/docs picture [--home DIR]"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from documentation import checks, rules
from documentation import picture as pictures
from documentation import reference as references

ROOT = Path(__file__).resolve().parents[2]


@click.group()
def docs() -> None:
    """Makes the documentation that comes from the program itself."""


@docs.command()
@click.option("--check", is_flag=True, help="Change nothing; fail when the page is not what it should be.")
def reference(check: bool) -> None:
    """docs/reference: cli.md from the commands, migration-rules.md from the rules, checks.md from the checks."""
    pages = (("cli.md", references.page()), ("migration-rules.md", rules.page()), ("checks.md", checks.page()))
    for name, text in pages:
        page = ROOT / "docs/reference" / name
        if not check:
            page.write_text(text, encoding="utf-8")
        elif not page.is_file() or page.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/reference/{name} is out of date: scripts/docs reference")


@docs.command()
@click.option(
    "--home", type=click.Path(path_type=Path), help="A GOLIVE_HOME without apps to deploy into.  [default: a new one]"
)
def picture(home: Path | None) -> None:
    """docs/images/up.svg, from a real `golive up examples/threadr`; what it starts is ended again."""
    (ROOT / "docs/images/up.svg").write_text(pictures.of_up(ROOT, home), encoding="utf-8")


if __name__ == "__main__":
    docs()
