"""A host of one real model, kinds of damage to its cached copy, and the cell that then fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import model_archive
from faulty_host import FaultyHost
from kernel import Cell, Kernel
from saved_models import model_files

GRAPH, VOCABULARY = "saved_model.pb", "assets/vocab.txt"
INDEX, DATA = "variables/variables.index", "variables/variables.data-00000-of-00001"


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest) -> Iterator[FaultyHost]:
    """Yield a host of one model, of the kind that the test requests."""
    kind = getattr(request, "param", "tf2_vocabulary")
    with FaultyHost(model_archive(model_files(kind))) as running:
        yield running


def failed(notebook: Kernel, code: str) -> Cell:
    """Return a cell that ends in an error. The next cell is run again, because it may be aborted too."""
    cell = notebook.run(code)
    assert cell.status == "error"
    notebook.value("None")
    return cell
