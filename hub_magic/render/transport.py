"""What came into a cache, went out of it, or moved, in words and tables."""

from __future__ import annotations

from ..care.add import Added, AddedList
from ..care.export import Export, Exported
from ..care.move import Move, Moved
from ..quantities import plural, size
from ..settings import CACHE_VARIABLE, CacheSetting
from .blocks import Table, blocks_html, blocks_text
from .care import choice_tables
from .settings import export_line
from .tables import Column

_ADDED = (Column("Model"), Column("Size", is_number=True), Column("From"))
_REFUSED = (Column("Model"), Column("Archive"), Column("Why"))
_ARCHIVES = (Column("Model"), Column("Archive"), Column("Size", is_number=True))
_MODELS = (Column("Model"), Column("Size", is_number=True))

Report = Added | AddedList | Exported | Export | Move | Moved


def report_text(report: Report) -> str:
    """What was done, as text."""
    return blocks_text(_lines(report), _tables(report))


def report_html(report: Report) -> str:
    """What was done, as HTML."""
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
        return first, f"Not all could be moved, so the cache in force is still {report.location}."
    here = f"Models are cached at {report.target} from now on"
    if report.is_kept:
        setting = CacheSetting(report.target, "saved", CACHE_VARIABLE)
        return first, f"{here}, which is saved in this IPython profile.", export_line(setting)
    return first, f"{here}; %hub_cache --persist keeps that."


def _there(count: int) -> str:
    return f", {count} had been there" if count else ""


def _tables(report: Report) -> list[Table]:
    if isinstance(report, AddedList):
        added = [(one.handle, size(one.size), one.source) for one in report.added]
        left = [(one.handle, one.file, one.reason) for one in report.left]
        return [("Added", _ADDED, added), ("Left out", _REFUSED, left)]
    if isinstance(report, Export):
        exported = [(one.handle, one.file, size(one.size)) for one in report.exported]
        return [("Exported", _ARCHIVES, exported), *choice_tables(("Left out", report.left))]
    if isinstance(report, Move):
        going = [(model.handle or model.folder, size(model.size)) for model in report.going]
        return [("To move", _MODELS, going), *choice_tables(("Kept", report.kept))]
    if isinstance(report, Moved):
        return choice_tables(("Kept", report.kept), ("Not moved", report.failed))
    return []
