"""Tables: aligned text for a terminal, HTML for a notebook. Every cell is data and is escaped."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ..masking import mask_secrets

# Text from disk may hold characters that reorder or break a line.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_LONGEST = 4000  # letters of a line: a path that is cut cannot be copied
_LONGEST_CELL = 200


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, and whether its cells are numbers (right-aligned)."""

    heading: str
    is_number: bool = False


def text_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells aligned with blanks, headings first."""
    lines = [
        [column.heading for column in columns],
        *([plain(cell, _LONGEST_CELL) for cell in row] for row in rows),
    ]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    )


def html_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """Return the rows as a `<table>` that needs no style sheet and follows the notebook's colours."""
    head = "".join(
        f'<th scope="col" style="text-align:{_side(column)}">{escape(column.heading)}</th>'
        for column in columns
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{_side(column)};overflow-wrap:anywhere">{escape(cell)}</td>'
            for cell, column in zip(row, columns, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    title = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_lines(lines: Sequence[str]) -> str:
    """Return lines of text as HTML, the first line bold."""
    first, *others = [escape(line) for line in lines]
    return "<br>".join([f"<strong>{first}</strong>", *others])


def plain(text: str, longest: int = _LONGEST) -> str:
    """Return text on one line, of limited length, without characters that a terminal would act on."""
    text = mask_secrets(text)
    shown = "".join(
        "\ufffd" if unicodedata.category(letter) in _HIDDEN else letter for letter in text[: longest + 1]
    )
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def escape(text: str) -> str:
    """Return text as HTML."""
    return html.escape(plain(text))


def _side(column: Column) -> str:
    return "right" if column.is_number else "left"


Table = tuple[str, tuple[Column, ...], Sequence[Sequence[str]]]


def blocks_text(lines: Sequence[str], tables: Sequence[Table]) -> str:
    """Return the report as text; a table without rows is left out."""
    blocks = ["\n".join(plain(line) for line in lines)]
    blocks += [f"{title}\n{text_table(columns, rows)}" for title, columns, rows in tables if rows]
    return "\n\n".join(blocks)


def blocks_html(lines: Sequence[str], tables: Sequence[Table]) -> str:
    """Return the report as HTML; a table without rows is left out."""
    shown = "".join(html_table(columns, rows, caption=title) for title, columns, rows in tables if rows)
    return f"<div>{html_lines(lines)}</div>{shown}"
