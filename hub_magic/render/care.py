"""Removals, copies, additions, exports, moves and downloads in words and tables."""

from __future__ import annotations

from collections.abc import Sequence

from ..cache import CachedModel
from ..care.add import Added, AddedList
from ..care.copy import Copied, CopyPlan
from ..care.export import Export, Exported
from ..care.move import Move, Moved
from ..care.remove import Choice, Removal, Removed
from ..download.fetching import FetchedModels
from ..quantities import age, plural, size
from ..settings import CACHE_VARIABLE, CacheSetting
from .settings import export_line
from .tables import Column, Table, blocks_html, blocks_text, html_lines, html_table, plain, text_table

_CHOICES = (
    Column("Model"),
    Column("Size", is_number=True),
    Column("Last used"),
    Column("Why"),
)


def removal_text(plan: Removal) -> str:
    """Return what a removal would do, as text."""
    return blocks_text(_plan_lines(plan), _plan_tables(plan))


def removal_html(plan: Removal) -> str:
    """Return what a removal would do, as HTML."""
    return blocks_html(_plan_lines(plan), _plan_tables(plan))


def removed_text(done: Removed) -> str:
    """Return what a removal did, as text."""
    return blocks_text(_done_lines(done), choice_tables(("Kept", done.kept)))


def removed_html(done: Removed) -> str:
    """Return what a removal did, as HTML."""
    return blocks_html(_done_lines(done), choice_tables(("Kept", done.kept)))


def _plan_lines(plan: Removal) -> tuple[str, ...]:
    if plan.going:
        first = (
            f"{plan.location}: {plural(len(plan.going), 'model')} to remove, which frees {size(plan.size)}; "
            f"{size(plan.left)} of models stay."
        )
    else:
        first = f"{plan.location}: nothing to remove; the models take {size(plan.left)}."
    if 0 <= plan.goal < plan.left:
        why = "the remaining models are protected by --keep or in use"
        return first, f"Cannot get below {size(plan.goal)}: {why}."
    return (first,)


def _plan_tables(plan: Removal) -> list[Table]:
    return choice_tables(("To remove", plan.going), ("Kept", plan.kept))


def _done_lines(done: Removed) -> tuple[str, ...]:
    if not done.removed:
        return (f"{done.location}: nothing was removed.",)
    freed = f"{size(done.freed)} freed"
    if size(done.freed) != size(done.expected):
        freed += f", {size(done.expected)} expected"
    return (f"{done.location}: {plural(len(done.removed), 'model')} removed; {freed}.",)


def choice_tables(*groups: tuple[str, Sequence[Choice]]) -> list[Table]:
    """Return a table for each group of entries, with the reason for each entry."""
    return [(title, _CHOICES, [_row(choice) for choice in choices]) for title, choices in groups if choices]


def _row(choice: Choice) -> tuple[str, ...]:
    model = choice.model
    return (
        model.title,
        size(model.size),
        age(model.last_used or model.downloaded),
        choice.reason,
    )


_GOING = (Column("Model"), Column("Size", is_number=True), Column("Files", is_number=True))
_KEPT = (Column("Not copied"), Column("Why"))


def copy_text(fact: CopyPlan | Copied) -> str:
    """Return a planned or finished copy as text."""
    tables = [text_table(columns, rows) for columns, rows in _copy_tables(fact)]
    return "\n\n".join([plain(_copy_headline(fact)), *tables])


def copy_html(fact: CopyPlan | Copied) -> str:
    """Return a planned or finished copy as HTML."""
    tables = [html_table(columns, rows) for columns, rows in _copy_tables(fact)]
    return f"<div>{html_lines([_copy_headline(fact)])}</div>{''.join(tables)}"


def _copy_headline(fact: CopyPlan | Copied) -> str:
    there = f"; {plural(fact.there, 'model')} already present" if fact.there else ""
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
    return (model.title, size(model.size), str(model.files))


def _not_copied_row(choice: Choice) -> tuple[str, ...]:
    return (choice.model.title, choice.reason)


_COLUMNS = (
    Column("Model"),
    Column("Received", is_number=True),
    Column("Time", is_number=True),
    Column("Directory"),
)


_FAILED = (Column("Model"), Column("Why"))


def fetched_text(models: FetchedModels) -> str:
    """Return the models as aligned text, those that failed in a table below."""
    blocks = [text_table(_COLUMNS, _rows(models))] if models or not models.failed else []
    if models.failed:
        blocks.append(f"Not fetched\n{text_table(_FAILED, _failures(models))}")
    return "\n\n".join(blocks)


def fetched_html(models: FetchedModels) -> str:
    """Return the models as an HTML table, those that failed in a table below."""
    shown = html_table(_COLUMNS, _rows(models)) if models or not models.failed else ""
    return shown + (html_table(_FAILED, _failures(models), caption="Not fetched") if models.failed else "")


def _failures(models: FetchedModels) -> list[tuple[str, str]]:
    return [(model.handle, model.error) for model in models.failed]


def _rows(models: FetchedModels) -> list[tuple[str, ...]]:
    return [
        (
            model.handle,
            "already cached" if model.was_cached else size(model.bytes) if model.bytes else "",
            "" if model.was_cached else f"{model.seconds:.1f} s",
            model.path,
        )
        for model in models
    ]


_ADDED = (Column("Model"), Column("Size", is_number=True), Column("From"))
_REFUSED = (Column("Model"), Column("Archive"), Column("Why"))
_ARCHIVES = (Column("Model"), Column("Archive"), Column("Size", is_number=True))
_MODELS = (Column("Model"), Column("Size", is_number=True))

Report = Added | AddedList | Exported | Export | Move | Moved


def report_text(report: Report) -> str:
    """Return what was done, as text."""
    return blocks_text(_lines(report), _tables(report))


def report_html(report: Report) -> str:
    """Return what was done, as HTML."""
    return blocks_html(_lines(report), _tables(report))


def _lines(report: Report) -> tuple[str, ...]:
    if isinstance(report, Added):
        files = plural(report.files, "file")
        return (f"{report.handle}: {files}, {size(report.size)}, cached at {report.path}.",)
    if isinstance(report, Exported):
        return (f"{report.handle or report.file}: {size(report.size)} written to {report.file}.",)
    if isinstance(report, AddedList):
        count = plural(len(report.added), "model")
        return (f"{report.directory}: {count} added ({size(report.size)}){_there(report.there)}.",)
    if isinstance(report, Export):
        count = plural(len(report.exported), "model")
        return (f"{report.directory}: {count} exported ({size(report.size)}){_there(report.there)}.",)
    return _moving_lines(report)


def _moving_lines(report: Move | Moved) -> tuple[str, ...]:
    where = f"from {report.location} to {report.target}"
    if isinstance(report, Move):
        return (f"{plural(len(report.going), 'model')} ({size(report.size)}) to move {where}.",)
    first = f"{plural(len(report.moved), 'model')} ({size(report.size)}) moved {where}."
    if report.failed:
        return first, f"Not all could be moved, so the cache is still {report.location}."
    here = f"Models are cached at {report.target} from now on"
    if report.is_kept:
        setting = CacheSetting(report.target, "saved", CACHE_VARIABLE)
        return first, f"{here}, saved in this IPython profile.", export_line(setting)
    return first, f"{here}; %hub_cache --persist saves this."


def _there(count: int) -> str:
    return f", {count} already present" if count else ""


def _tables(report: Report) -> list[Table]:
    if isinstance(report, AddedList):
        added = [(one.handle, size(one.size), one.source) for one in report.added]
        left = [(one.handle, one.file, one.reason) for one in report.left]
        return [("Added", _ADDED, added), ("Skipped", _REFUSED, left)]
    if isinstance(report, Export):
        exported = [(one.handle, one.file, size(one.size)) for one in report.exported]
        return [("Exported", _ARCHIVES, exported), *choice_tables(("Skipped", report.left))]
    if isinstance(report, Move):
        going = [(model.title, size(model.size)) for model in report.going]
        return [("To move", _MODELS, going), *choice_tables(("Kept", report.kept))]
    if isinstance(report, Moved):
        return choice_tables(("Kept", report.kept), ("Not moved", report.failed))
    return []
