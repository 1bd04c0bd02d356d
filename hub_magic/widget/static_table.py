"""The browser where no widget runs: in a saved notebook, on GitHub, in a front end without widgets."""

from __future__ import annotations

from ..cache import CachedModel, CacheScan
from ..render.cache import model_state
from ..render.quantities import age, plural, size
from ..render.tables import Column, html_lines, html_table, plain, text_table

_COLUMNS = (
    Column("Model"),
    Column("Version", is_number=True),
    Column("Publisher"),
    Column("Kind"),
    Column("Size", is_number=True),
    Column("Downloaded"),
    Column("Last used"),
    Column("State"),
)
# A saved notebook carries the table, so it must not grow with the cache.
_MOST = 100


def static_text(scan: CacheScan) -> str:
    """The cache as text."""
    lines = [plain(line) for line in _lines(scan)]
    return "\n".join([*lines, "", text_table(_COLUMNS, _rows(scan))] if scan.models else lines)


def static_html(scan: CacheScan) -> str:
    """The cache as HTML without a script or a style sheet."""
    table = html_table(_COLUMNS, _rows(scan)) if scan.models else ""
    return f"<div>{html_lines(_lines(scan))}</div>{table}"


def _lines(scan: CacheScan) -> list[str]:
    if not scan.models:
        return [f"{scan.location}: no models yet"]
    is_measured = all(model.is_measured for model in scan.models)
    lines = [f"{scan.location}: {plural(len(scan.models), 'model')}"]
    lines[0] += f", {size(scan.size)}" if is_measured else ""
    if scan.problems and is_measured:
        lines[0] += f", {plural(len(scan.problems), 'problem')}"
    if len(scan.models) > _MOST:
        lines.append(f"The first {_MOST} of them; %hub_cache --list gives all.")
    return lines


def _rows(scan: CacheScan) -> list[tuple[str, ...]]:
    return [_row(model) for model in scan.models[:_MOST]]


def _row(model: CachedModel) -> tuple[str, ...]:
    return (
        model.name,
        model.version,
        model.publisher,
        model.kind,
        size(model.size),
        age(model.downloaded),
        age(model.last_used),
        model_state(model),
    )
