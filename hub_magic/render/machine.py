"""This machine's caches side by side."""

from __future__ import annotations

from ..cache.other_caches import MachineScan, OtherModel
from ..quantities import plural, size
from .blocks import Table, blocks_html, blocks_text
from .cache import scan_html, scan_text
from .tables import Column

_OTHERS = (
    Column("Path"),
    Column("Size", is_number=True),
    Column("Files", is_number=True),
    Column("State"),
    Column("Also cached here as"),
)


def machine_text(machine: MachineScan) -> str:
    """All caches as text."""
    return f"{scan_text(machine.here)}\n\n{blocks_text(_machine_lines(machine), _machine_tables(machine))}"


def machine_html(machine: MachineScan) -> str:
    """All caches as HTML."""
    return scan_html(machine.here) + blocks_html(_machine_lines(machine), _machine_tables(machine))


def _machine_lines(machine: MachineScan) -> tuple[str, ...]:
    if not machine.others:
        return ("Other caches on this machine hold no TensorFlow models.",)
    twice = f"; {size(machine.twice)} of that is cached here as well" if machine.twice else ""
    total = size(sum(other.size for other in machine.others))
    return (f"Other caches on this machine hold {plural(len(machine.others), 'model')}, {total}{twice}.",)


def _machine_tables(machine: MachineScan) -> list[Table]:
    return [("Elsewhere", _OTHERS, [_other_row(other) for other in machine.others])]


def _other_row(other: OtherModel) -> tuple[str, ...]:
    state = "mounted" if other.kind == "mount" else "whole" if other.is_complete else "incomplete"
    return (other.path, size(other.size), str(other.files), state, ", ".join(other.same_as))
