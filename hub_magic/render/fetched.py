"""Fetched models in a table."""

from __future__ import annotations

from ..download.fetching import FetchedModels
from ..quantities import size
from .tables import Column, html_table, text_table

_COLUMNS = (
    Column("Model"),
    Column("Received", is_number=True),
    Column("Time", is_number=True),
    Column("Directory"),
)


def fetched_text(models: FetchedModels) -> str:
    """The models as aligned text."""
    return text_table(_COLUMNS, _rows(models))


def fetched_html(models: FetchedModels) -> str:
    """The models as an HTML table."""
    return html_table(_COLUMNS, _rows(models))


def _rows(models: FetchedModels) -> list[tuple[str, ...]]:
    return [
        (
            model.handle,
            "was cached" if model.was_cached else size(model.bytes) if model.bytes else "",
            "" if model.was_cached else f"{model.seconds:.1f} s",
            model.path,
        )
        for model in models
    ]
