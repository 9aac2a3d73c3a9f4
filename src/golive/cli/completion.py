"""golive completion."""

from __future__ import annotations

import click

LINES = {
    "bash": 'eval "$(_GOLIVE_COMPLETE=bash_source golive)"',
    "zsh": 'eval "$(_GOLIVE_COMPLETE=zsh_source golive)"',
    "fish": "_GOLIVE_COMPLETE=fish_source golive | source",
}
FILES = {"bash": "~/.bashrc", "zsh": "~/.zshrc", "fish": "~/.config/fish/config.fish"}


@click.command()
@click.argument("shell", type=click.Choice(sorted(LINES)))
def completion(shell: str) -> int:
    """The line that turns on completion of commands, services and releases, for the shell's start file.

    \b
    Example:
      golive completion bash >> ~/.bashrc
    """
    print(f"# in {FILES[shell]}\n{LINES[shell]}")
    return 0
