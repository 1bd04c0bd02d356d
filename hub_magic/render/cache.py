"""A cache scan in words and tables."""

from __future__ import annotations

from ..cache import CachedModel, CacheScan, Problem
from ..cache.locks import holder_state
from ..quantities import age, plural, size
from .tables import Column, html_lines, html_table, plain, text_table

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
    """The cache as aligned text."""
    blocks = [_headline(scan)]
    if scan.models:
        blocks.append(text_table(_MODELS, [_model_row(model) for model in scan.models]))
    if scan.problems:
        blocks.append(text_table(_PROBLEMS, [_problem_row(problem) for problem in scan.problems]))
    return "\n\n".join(blocks)


def scan_html(scan: CacheScan) -> str:
    """The cache as HTML that needs neither a script nor a style sheet."""
    blocks = [f"<div>{html_lines([_headline(scan)])}</div>"]
    if scan.models:
        blocks.append(html_table(_MODELS, [_model_row(model) for model in scan.models]))
    if scan.problems:
        blocks.append(html_table(_PROBLEMS, [_problem_row(problem) for problem in scan.problems]))
    return "".join(blocks)


def model_state(model: CachedModel) -> str:
    """What can be said of an entry in a word or two."""
    if model.damage:
        return f"damaged: {model.damage}"
    if model.holder:
        word = "lock left" if holder_state(model.holder) == "dead" else "locked"
        return f"{word} by process {model.holder.pid} on {model.holder.host}"
    return "whole" if model.is_measured else ""


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
        problem.handle or problem.name,
        problem.reason,
        size(problem.size) if problem.size else "",
    )
