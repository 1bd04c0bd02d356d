"""The browser where no widget runs: in a saved notebook, on GitHub, in a front end without widgets.

The same as `%hub_cache --list` shows, unless that would be too long to keep in a notebook, or is not all
known yet.
"""

from __future__ import annotations

import json

from ..cache import CachedModel, CacheScan
from ..quantities import age, plural, size
from ..render.cache import model_state, scan_html, scan_text
from ..render.tables import Column, html_lines, html_table, plain, text_table

_SAVED_COLUMNS = (
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

# Runs where the notebook is trusted. Two seconds are what a front end waits for a widget's kernel at most.
# VS Code runs a copy of the script from another place in the same output.
_SAVED = """<div class="hub-magic-saved"></div><script>
{
    const place = document.currentScript.parentNode.querySelector(".hub-magic-saved");
    const cell = place.closest(".jp-Cell, .cell, .cell_container") ?? document;
    setTimeout(() => {
        if (!cell.querySelector(".hub-magic, .hub-magic-static")) place.innerHTML = %s;
    }, 3000);
}
</script>"""


def static_text(scan: CacheScan) -> str:
    """The cache as text."""
    if _is_short(scan):
        return scan_text(scan)
    return "\n".join(
        [*(plain(line) for line in _saved_lines(scan)), "", text_table(_SAVED_COLUMNS, _saved_rows(scan))]
    )


def static_html(scan: CacheScan) -> str:
    """The cache as HTML without a script or a style sheet."""
    if _is_short(scan):
        table = scan_html(scan)
    else:
        table = f"<div>{html_lines(_saved_lines(scan))}</div>{html_table(_SAVED_COLUMNS, _saved_rows(scan))}"
    return f'<div class="hub-magic-static">{table}</div>'


def saved_html(scan: CacheScan) -> str:
    """HTML that shows the table only where a widget ought to be, and nothing else is.

    JupyterLab shows the HTML beside a widget that is gone only in a notebook that it does not trust. In one's
    own it shows an error in place of both (jupyterlab-manager 3.0.17), and this under it.
    """
    return _SAVED % json.dumps(static_html(scan)).replace("<", "\\u003c")


def _is_short(scan: CacheScan) -> bool:
    return len(scan.models) <= _MOST and all(model.is_measured for model in scan.models)


def _saved_lines(scan: CacheScan) -> list[str]:
    lines = [f"{scan.location}: {plural(len(scan.models), 'model')}"]
    if all(model.is_measured for model in scan.models):
        lines[0] += f", {size(scan.size)}"
    if len(scan.models) > _MOST:
        lines.append(f"The first {_MOST} of them; %hub_cache --list gives all.")
    return lines


def _saved_rows(scan: CacheScan) -> list[tuple[str, ...]]:
    return [_saved_row(model) for model in scan.models[:_MOST]]


def _saved_row(model: CachedModel) -> tuple[str, ...]:
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
