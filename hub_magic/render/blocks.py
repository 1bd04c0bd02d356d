"""A report: some lines, and tables with titles below them."""

from __future__ import annotations

from collections.abc import Sequence

from .tables import Column, html_lines, html_table, plain, text_table

Table = tuple[str, tuple[Column, ...], Sequence[Sequence[str]]]


def blocks_text(lines: Sequence[str], tables: Sequence[Table]) -> str:
    """The report as text; a table without rows is left out."""
    blocks = ["\n".join(plain(line) for line in lines)]
    blocks += [f"{title}\n{text_table(columns, rows)}" for title, columns, rows in tables if rows]
    return "\n\n".join(blocks)


def blocks_html(lines: Sequence[str], tables: Sequence[Table]) -> str:
    """The report as HTML; a table without rows is left out."""
    shown = "".join(html_table(columns, rows, caption=title) for title, columns, rows in tables if rows)
    return f"<div>{html_lines(lines)}</div>{shown}"
