"""Verification and repair in words and tables."""

from __future__ import annotations

from collections.abc import Sequence

from ..cache.scan import Problem
from ..cache.verify import Checked, Verification
from ..care.repair import Repair, Repaired
from ..quantities import plural, size
from .tables import Column, Table, blocks_html, blocks_text

_CHECKED = (
    Column("Model"),
    Column("Size", is_number=True),
    Column("Compared with"),
    Column("Tensors", is_number=True),
    Column("Result"),
)
_DAMAGED = (Column("Model"), Column("Size", is_number=True), Column("What"))
_PROBLEMS = (Column("Problem"), Column("Where"), Column("What"), Column("Frees", is_number=True))


def verification_text(found: Verification) -> str:
    """Return what a check found, as text."""
    return blocks_text(_verification_lines(found), _verification_tables(found))


def verification_html(found: Verification) -> str:
    """Return what a check found, as HTML."""
    return blocks_html(_verification_lines(found), _verification_tables(found))


def repair_text(plan: Repair) -> str:
    """Return what a repair would do, as text."""
    return blocks_text(_repair_lines(plan), _repair_tables(plan))


def repair_html(plan: Repair) -> str:
    """Return what a repair would do, as HTML."""
    return blocks_html(_repair_lines(plan), _repair_tables(plan))


def repaired_text(done: Repaired) -> str:
    """Return what a repair did, as text."""
    return blocks_text(_repaired_lines(done), _repaired_tables(done))


def repaired_html(done: Repaired) -> str:
    """Return what a repair did, as HTML."""
    return blocks_html(_repaired_lines(done), _repaired_tables(done))


def _verification_lines(found: Verification) -> tuple[str, ...]:
    how = "checked byte by byte" if found.is_deep else "checked by names and sizes"
    count = plural(len(found.checked), "model")
    damaged = f"{len(found.damaged)} damaged" if found.damaged else "none damaged"
    others = f", {plural(len(found.problems), 'other problem')}" if found.problems else ""
    first = f"{found.location}: {count} {how}, {damaged}{others}."
    if found.damaged or found.problems:
        return first, "Fix with: %hub_cache --repair"
    return (first,)


def _verification_tables(found: Verification) -> list[Table]:
    checked: Table
    if found.is_deep:
        checked = ("Checked", _CHECKED, [_checked_row(one) for one in found.checked])
    else:
        checked = ("Damaged", _DAMAGED, _damaged_rows(found.damaged))
    noted = () if found.is_deep else tuple(one for one in found.checked if one.note)
    return [
        checked,
        (
            "Changed, and loads",
            _DAMAGED,
            [(_name(one), size(one.size), one.note) for one in noted if one.note],
        ),
        ("Problems", _PROBLEMS, _problem_rows(found.problems)),
    ]


def _repair_lines(plan: Repair) -> tuple[str, ...]:
    fetching = f"{plural(len(plan.fetching), 'damaged model')} to download again"
    return (f"{plan.location}: {fetching}, {plural(len(plan.sweeping), 'leftover')} to clean up.",)


def _repair_tables(plan: Repair) -> list[Table]:
    return [
        ("To download again", _DAMAGED, _damaged_rows(plan.fetching)),
        ("To clean up", _PROBLEMS, _problem_rows(plan.sweeping)),
        ("Cannot be repaired", _PROBLEMS, _problem_rows(plan.left)),
    ]


def _repaired_lines(done: Repaired) -> tuple[str, ...]:
    swept = f"{plural(len(done.swept), 'leftover')} cleaned up ({size(done.freed)} freed)"
    checked = f"{plural(done.checked, 'model')} checked, {len(done.fetched)} downloaded again"
    return (f"{done.location}: {checked}, {swept}.",)


def _repaired_tables(done: Repaired) -> list[Table]:
    return [
        ("Downloaded again", _DAMAGED, _damaged_rows(done.fetched)),
        ("Cleaned up", _PROBLEMS, _problem_rows(done.swept)),
        ("Not repaired", _PROBLEMS, _problem_rows(done.left)),
    ]


def _checked_row(one: Checked) -> tuple[str, ...]:
    recorded = f"record of {plural(one.recorded, 'file')}" if one.recorded else "no record of its download"
    tensors = one.unread or (str(one.tensors) if one.tensors else "")
    return (_name(one), size(one.size), recorded, tensors, one.damage or one.note or "OK")


def _damaged_rows(damaged: Sequence[Checked]) -> list[tuple[str, ...]]:
    return [(_name(one), size(one.size), one.damage) for one in damaged]


def _problem_rows(problems: Sequence[Problem]) -> list[tuple[str, ...]]:
    return [(one.kind, one.title, one.reason, size(one.size) if one.size else "") for one in problems]


def _name(one: Checked) -> str:
    return one.model.title
