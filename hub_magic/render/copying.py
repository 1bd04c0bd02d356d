"""Copies in words and tables: what would be copied, what was, and what could not be."""

from __future__ import annotations

from collections.abc import Sequence

from ..cache import CachedModel
from ..care.copy import Copied, CopyPlan
from ..care.remove import Choice
from ..quantities import plural, size
from .tables import Column, html_lines, html_table, plain, text_table

_GOING = (Column("Model"), Column("Size", is_number=True), Column("Files", is_number=True))
_KEPT = (Column("Not copied"), Column("Why"))


def copy_text(fact: CopyPlan | Copied) -> str:
    """A copy that is planned or done, as text."""
    tables = [text_table(columns, rows) for columns, rows in _copy_tables(fact)]
    return "\n\n".join([plain(_copy_headline(fact)), *tables])


def copy_html(fact: CopyPlan | Copied) -> str:
    """A copy that is planned or done, as HTML."""
    tables = [html_table(columns, rows) for columns, rows in _copy_tables(fact)]
    return f"<div>{html_lines([_copy_headline(fact)])}</div>{''.join(tables)}"


def _copy_headline(fact: CopyPlan | Copied) -> str:
    there = f"; {plural(fact.there, 'model')} there already" if fact.there else ""
    if isinstance(fact, Copied):
        count = plural(len(fact.copied), "model")
        return f"{fact.source} to {fact.target}: {count} copied, {size(fact.size)}{there}."
    if not fact.going:
        return f"{fact.source} to {fact.target}: nothing to copy{there}."
    count = plural(len(fact.going), "model")
    return f"{fact.source} to {fact.target}: {count} to copy, {size(fact.size)}{there}."


def _copy_tables(
    fact: CopyPlan | Copied,
) -> list[tuple[Sequence[Column], list[tuple[str, ...]]]]:
    tables: list[tuple[Sequence[Column], list[tuple[str, ...]]]] = []
    if isinstance(fact, CopyPlan) and fact.going:
        tables.append((_GOING, [_copied_row(model) for model in fact.going]))
    if fact.kept:
        tables.append((_KEPT, [_not_copied_row(choice) for choice in fact.kept]))
    return tables


def _copied_row(model: CachedModel) -> tuple[str, ...]:
    return (model.handle or model.folder, size(model.size), str(model.files))


def _not_copied_row(choice: Choice) -> tuple[str, ...]:
    return (choice.model.handle or choice.model.folder, choice.reason)
