"""Removals in words and tables: what would go, what went, and what stays."""

from __future__ import annotations

from collections.abc import Sequence

from ..care.remove import Choice, Removal, Removed
from ..quantities import age, plural, size
from .blocks import Table, blocks_html, blocks_text
from .tables import Column

_CHOICES = (
    Column("Model"),
    Column("Size", is_number=True),
    Column("Last used"),
    Column("Why"),
)


def removal_text(plan: Removal) -> str:
    """What a removal would do, as text."""
    return blocks_text(_plan_lines(plan), _plan_tables(plan))


def removal_html(plan: Removal) -> str:
    """What a removal would do, as HTML."""
    return blocks_html(_plan_lines(plan), _plan_tables(plan))


def removed_text(done: Removed) -> str:
    """What a removal did, as text."""
    return blocks_text(_done_lines(done), choice_tables(("Kept", done.kept)))


def removed_html(done: Removed) -> str:
    """What a removal did, as HTML."""
    return blocks_html(_done_lines(done), choice_tables(("Kept", done.kept)))


def _plan_lines(plan: Removal) -> tuple[str, ...]:
    if plan.going:
        first = (
            f"{plan.location}: {plural(len(plan.going), 'model')} to remove, which frees {size(plan.size)}; "
            f"{size(plan.left)} would be left."
        )
    else:
        first = f"{plan.location}: nothing to remove; the models take {size(plan.left)}."
    if 0 <= plan.goal < plan.left:
        return first, f"That is more than {size(plan.goal)}: what is left is to be kept, or in use."
    return (first,)


def _plan_tables(plan: Removal) -> list[Table]:
    return choice_tables(("To remove", plan.going), ("Kept", plan.kept))


def _done_lines(done: Removed) -> tuple[str, ...]:
    if not done.removed:
        return (f"{done.location}: nothing was removed.",)
    freed = f"{size(done.freed)} freed, {size(done.expected)} expected"
    return (f"{done.location}: {plural(len(done.removed), 'model')} removed; {freed}.",)


def choice_tables(*groups: tuple[str, Sequence[Choice]]) -> list[Table]:
    """A table for each group of entries, each with why it is there."""
    return [(title, _CHOICES, [_row(choice) for choice in choices]) for title, choices in groups if choices]


def _row(choice: Choice) -> tuple[str, ...]:
    model = choice.model
    return (
        model.handle or model.folder,
        size(model.size),
        age(model.last_used or model.downloaded),
        choice.reason,
    )
