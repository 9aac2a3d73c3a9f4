"""The reference of the commands, as Markdown, from click's own description of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from golive.cli.main import GROUPS, golive

HEAD = """# Commands

Made by `scripts/docs reference` from the commands themselves; `golive COMMAND -h` says the same.

Data is on stdout, narration on stderr. Where a command takes `--json`, stdout is one JSON value (`golive logs`: one a
line). A command that needs the daemon starts it. Exit codes: **0** done (also when there was nothing to do), **1** it
failed, **2** wrong usage or blueprint, **130** interrupted; `golive run` and `golive shell` pass on the program's own.

| variable | |
|---|---|
| `GOLIVE_HOME` | where everything lives; `/var/lib/golive` for root, else `~/.local/share/golive` |
| `NO_COLOR`, `TERM=dumb` | no colour; no line that is written over |
| `GOLIVE_DEBUG=1` | where in golive an unexpected error came from |
"""


def page() -> str:
    parts = [HEAD]
    context = click.Context(golive, info_name="golive")
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        for name in names:
            command = golive.get_command(context, name)
            assert command is not None
            parts += _entries(command, click.Context(command, info_name=name, parent=context))
    return "\n".join(parts)


def _entries(command: click.Command, context: click.Context) -> Iterator[str]:
    yield _entry(command, context)
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            if not sub.hidden:
                yield _entry(sub, click.Context(sub, info_name=name, parent=context))


def _entry(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"### `{context.command_path}`\n", f"    {usage}\n", _text(inspect.cleandoc(command.help or ""))]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        lines += ["| option | |", "|---|---|"]
        lines += [f"| {_cell(names)} | {_cell(text)} |" for names, text in _records(options, context)]
        lines.append("")
    return "\n".join(lines)


def _records(options: list[click.Option], context: click.Context) -> Iterator[tuple[str, str]]:
    for option in options:
        if record := option.get_help_record(context):
            yield f"`{record[0]}`", record[1]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _text(help_text: str) -> str:
    """Paragraphs as they are; what click must not rewrap is an example."""
    made = []
    for paragraph in help_text.split("\n\n"):
        if paragraph.startswith("\b\n"):
            _, *lines = paragraph[2:].splitlines()
            made.append("```sh\n" + "\n".join(line.strip() for line in lines) + "\n```\n")
        else:
            made.append(paragraph.strip() + "\n")
    return "\n".join(made)
