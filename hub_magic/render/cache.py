"""A cache scan in words and tables, also where no widget runs."""

from __future__ import annotations

import json

from ..cache import CachedModel, CacheScan, Problem
from ..cache.locks import holder_state
from ..cache.other_caches import MachineScan, OtherModel
from ..cache.wanted import WantedModels
from ..quantities import age, plural, size
from .tables import Column, Table, blocks_html, blocks_text, html_lines, html_table, plain, text_table

_MODELS = (
    Column("Model"),
    Column("Version", is_number=True),
    Column("Publisher"),
    Column("Kind"),
    Column("Size", is_number=True),
    Column("Files", is_number=True),
    Column("Downloaded"),
    Column("By"),
    Column("Last used"),
    Column("State"),
)
_PROBLEMS = (Column("Problem"), Column("Where"), Column("What"), Column("Frees", is_number=True))


def scan_text(scan: CacheScan) -> str:
    """Return the cache as aligned text."""
    blocks = [_headline(scan)]
    if scan.models:
        blocks.append(text_table(_MODELS, [_model_row(model) for model in scan.models]))
    if scan.problems:
        blocks.append(text_table(_PROBLEMS, [_problem_row(problem) for problem in scan.problems]))
    return "\n\n".join(blocks)


def scan_html(scan: CacheScan) -> str:
    """Return the cache as HTML that needs neither a script nor a style sheet."""
    blocks = [f"<div>{html_lines([_headline(scan)])}</div>"]
    if scan.models:
        blocks.append(html_table(_MODELS, [_model_row(model) for model in scan.models]))
    if scan.problems:
        blocks.append(html_table(_PROBLEMS, [_problem_row(problem) for problem in scan.problems]))
    return "".join(blocks)


_WANTED = (Column("Model"), Column("Size", is_number=True), Column("State"))


def wanted_text(wanted: WantedModels) -> str:
    """Return the models that code names as aligned text."""
    return blocks_text(_wanted_lines(wanted), [("", _WANTED, _wanted_rows(wanted))]).replace("\n\n\n", "\n\n")


def wanted_html(wanted: WantedModels) -> str:
    """Return the models that code names as an HTML table."""
    return blocks_html(_wanted_lines(wanted), [("", _WANTED, _wanted_rows(wanted))])


def _wanted_lines(wanted: WantedModels) -> tuple[str, ...]:
    count = len(wanted.models) - len(wanted.missing)
    told = f"{count} of {plural(len(wanted.models), 'model')} cached at {wanted.location}"
    if not wanted.missing:
        return (told,)
    words = " ".join(f'"{one}"' if " " in one else one for one in wanted.sources)
    return (told, f"Fetch the others with: %hub_cache --fetch {words}")


def _wanted_rows(wanted: WantedModels) -> list[tuple[str, ...]]:
    return [
        (model.handle, size(model.size), (model.damage or "cached") if model.path else "not cached")
        for model in wanted.models
    ]


def model_state(model: CachedModel) -> str:
    """Return the state of an entry in a word or two."""
    if model.damage:
        return f"damaged: {model.damage}"
    if model.holder:
        holder = f"process {model.holder.pid} on {model.holder.host}"
        return f"stale lock ({holder})" if holder_state(model.holder) == "dead" else f"locked by {holder}"
    if model.link:
        return f"linked to {model.link}"
    return "OK" if model.is_measured else ""


def _headline(scan: CacheScan) -> str:
    count = plural(len(scan.models), "model") if scan.models else "no models yet"
    total = f", {size(scan.size)}" if scan.models else ""
    problems = f", {plural(len(scan.problems), 'problem')}" if scan.problems else ""
    free = f" ({size(scan.free)} free)" if scan.free >= 0 else ""
    return plain(f"{scan.location}: {count}{total}{problems}{free}")


def _model_row(model: CachedModel) -> tuple[str, ...]:
    return (
        model.name,
        model.version,
        model.publisher,
        model.kind,
        size(model.size),
        str(model.files) if model.is_measured else "",
        age(model.downloaded),
        model.host,
        age(model.last_used),
        model_state(model),
    )


def _problem_row(problem: Problem) -> tuple[str, ...]:
    return (
        problem.kind,
        problem.title,
        problem.reason,
        size(problem.size) if problem.size else "",
    )


_OTHERS = (
    Column("Path"),
    Column("Size", is_number=True),
    Column("Files", is_number=True),
    Column("State"),
    Column("Also in this cache as"),
)


def machine_text(machine: MachineScan) -> str:
    """Return all caches as text."""
    return f"{scan_text(machine.here)}\n\n{blocks_text(_machine_lines(machine), _machine_tables(machine))}"


def machine_html(machine: MachineScan) -> str:
    """Return all caches as HTML."""
    return scan_html(machine.here) + blocks_html(_machine_lines(machine), _machine_tables(machine))


def _machine_lines(machine: MachineScan) -> tuple[str, ...]:
    if not machine.others:
        return ("Other caches on this computer contain no TensorFlow models.",)
    twice = f"; {size(machine.twice)} of that is also in this cache" if machine.twice else ""
    total = size(sum(other.size for other in machine.others))
    return (f"Other caches on this computer contain {plural(len(machine.others), 'model')}, {total}{twice}.",)


def _machine_tables(machine: MachineScan) -> list[Table]:
    return [("Other caches", _OTHERS, [_other_row(other) for other in machine.others])]


def _other_row(other: OtherModel) -> tuple[str, ...]:
    state = "mounted" if other.kind == "mount" else "OK" if other.is_complete else "incomplete"
    return (other.path, size(other.size), str(other.files), state, ", ".join(other.same_as))


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
# The most rows in a saved notebook: the saved table must not grow with the cache.
_MOST = 100

# The script runs only in a trusted notebook. A front end waits two seconds at most for a widget's kernel.
# VS Code runs a copy of the script elsewhere in the same output.
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
    """Return the cache as text."""
    if _is_short(scan):
        return scan_text(scan)
    return "\n".join(
        [*(plain(line) for line in _saved_lines(scan)), "", text_table(_SAVED_COLUMNS, _saved_rows(scan))]
    )


def static_html(scan: CacheScan) -> str:
    """Return the cache as HTML without a script or a style sheet."""
    if _is_short(scan):
        table = scan_html(scan)
    else:
        table = f"<div>{html_lines(_saved_lines(scan))}</div>{html_table(_SAVED_COLUMNS, _saved_rows(scan))}"
    return f'<div class="hub-magic-static">{table}</div>'


def saved_html(scan: CacheScan) -> str:
    """Return HTML that shows the table only where a widget is missing and nothing stands in its place.

    JupyterLab shows the HTML beside a missing widget only in a notebook that it does not trust. In a trusted
    notebook it shows an error in place of both (jupyterlab-manager 3.0.17), and this HTML below the error.
    """
    return _SAVED % json.dumps(static_html(scan)).replace("<", "\\u003c")


def _is_short(scan: CacheScan) -> bool:
    return len(scan.models) <= _MOST and all(model.is_measured for model in scan.models)


def _saved_lines(scan: CacheScan) -> list[str]:
    lines = [f"{scan.location}: {plural(len(scan.models), 'model')}"]
    if all(model.is_measured for model in scan.models):
        lines[0] += f", {size(scan.size)}"
    if len(scan.models) > _MOST:
        lines.append(f"The first {_MOST} of them; %hub_cache --list shows all.")
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
