"""Results as tables for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.result import Bar, Result, Table


def show(console: Console, result: Result) -> None:
    for table in result.tables:
        console.print(_table(table))
        if table.note:
            console.print(f"  {table.note}", style="dim", markup=False)
    if result.bars:
        bars = Table(f"{result.name}: what is promised", ("promise", "measured", "bar", ""))
        bars.rows = [_bar(bar) for bar in result.bars]
        console.print(_table(bars))


def _table(table: Table) -> RichTable:
    made = RichTable(title=table.title, title_justify="left", title_style="bold", header_style="bold")
    for number, column in enumerate(table.columns):
        made.add_column(column, justify="right" if number else "left")
    for row in table.rows:
        made.add_row(*row)
    return made


def _bar(bar: Bar) -> tuple[str, ...]:
    sign = "≥" if bar.at_least else "≤"
    verdict = "[green]met[/green]" if bar.met else "[red]missed[/red]"
    return bar.what, f"{bar.measured:.4g}{bar.unit}", f"{sign} {bar.limit:g}{bar.unit}", verdict
