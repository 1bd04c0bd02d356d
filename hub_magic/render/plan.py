"""A load plan in words: what was detected, the chosen route, and why not the others."""

from __future__ import annotations

from collections.abc import Sequence

from ..loading import LoadPlan, ModelLoaded, RouteLeft
from ..quantities import plural, size
from ..runtime import Runtime
from .tables import Column, html_lines, html_table, plain, text_table

_HOSTS = {
    "colab": "Colab",
    "colab-enterprise": "Colab Enterprise",
    "workbench": "Vertex AI Workbench",
    "kaggle": "Kaggle",
    "vscode": "VS Code",
    "jupyter": "Jupyter",
    "terminal": "a terminal",
    "script": "a script",
}
_COLUMNS = (Column("Route"), Column("Order"), Column("Why"))


def plan_text(plan: LoadPlan) -> str:
    """Return the plan as text."""
    lines = [plain(line) for line in _lines(plan)]
    return "\n".join([*lines, "", text_table(_COLUMNS, _rows(plan))])


def plan_html(plan: LoadPlan) -> str:
    """Return the plan as HTML."""
    return f"<div>{html_lines(_lines(plan))}</div>{html_table(_COLUMNS, _rows(plan))}"


def cell_line(plan: LoadPlan) -> str:
    """Return the line that `%%hub_tpu` prints before the cell runs."""
    first = plan.routes[0]
    if first.route == "local":
        return plain(f"%%hub_tpu: {first.reason}, so the cell runs as it is.")
    if plan.forced:
        return plain(f"%%hub_tpu: models load using the route you chose ({first.route}): {first.reason}.")
    others = ", ".join(one.route for one in plan.routes[1:])
    return plain(
        f"%%hub_tpu: models load using the route {first.route}: {first.reason}; if that fails, {others}."
    )


def left_line(event: RouteLeft) -> str:
    """Return the line about a route that failed and the next route."""
    reason = event.reason.partition(". ")[0]
    return plain(f"{event.handle}: {event.route} did not work, using {event.next_route} ({reason}).")


def loads_line(loads: Sequence[ModelLoaded]) -> str:
    """What is said at the end of a cell: how many models were loaded where, and by which routes."""
    places = ", ".join(dict.fromkeys(load.worker or "this computer" for load in loads))
    routes = dict.fromkeys(load.route for load in loads)
    ways = "; ".join(_way(route, [load for load in loads if load.route == route]) for route in routes)
    memory = sum(load.memory for load in loads)
    kept = f"; their files use {size(memory)} of memory on this computer and each worker" if memory else ""
    return plain(f"{plural(len(loads), 'model')} loaded on {places} ({ways}){kept}")


def _way(route: str, loads: Sequence[ModelLoaded]) -> str:
    if route != "relay":
        return route
    sent = sum(load.sent for load in loads)
    if not sent:
        return "relay: sent before"
    return f"relay: {size(sent)} sent in {sum(load.seconds for load in loads):.1f} s"


def runtime_line(runtime: Runtime) -> str:
    """Return the line about where the kernel runs, and with which accelerator."""
    return f"This is {_HOSTS[runtime.host]} with {_accelerator(runtime)}; {_worker(runtime)}."


def _lines(plan: LoadPlan) -> tuple[str, ...]:
    lines = (*plan.warnings, runtime_line(plan.runtime), plan.better and f"Better: {plan.better}")
    return tuple(line for line in lines if line)


def _rows(plan: LoadPlan) -> list[tuple[str, str, str]]:
    taken = [(one.route, str(index), one.reason) for index, one in enumerate(plan.routes, 1)]
    return [*taken, *((one.route, "-", one.reason) for one in plan.excluded)]


def _accelerator(runtime: Runtime) -> str:
    found = runtime.accelerator
    if found.kind == "none":
        return "no accelerator"
    name = f"a {found.generation + ' ' if found.generation else ''}{found.kind.upper()}"
    chips = f" of {plural(found.chips, 'chip')}" if found.kind == "tpu" and found.chips else ""
    return name + chips + ("" if found.visible or runtime.is_remote else " that is not visible")


def _worker(runtime: Runtime) -> str:
    worker = runtime.worker
    if worker.kind == "remote":
        return f"its worker is remote ({', '.join(worker.endpoints) or worker.job})"
    if worker.kind == "multi-host":
        return f"its workers are several computers ({', '.join(worker.endpoints)})"
    return "models are read from this computer's disk"
