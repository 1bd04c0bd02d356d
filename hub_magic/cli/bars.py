"""Progress bars, where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def byte_bar(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar over that many bytes, which shows up only when it takes long enough to be read.

    Gives the function that is told how many more are done.
    """
    from tqdm.auto import tqdm

    with tqdm(
        total=total,
        desc=what,
        unit="B",
        unit_scale=True,
        delay=0.5,
        leave=False,
        disable=not _is_watched(),
    ) as bar:
        yield bar.update


def _is_watched() -> bool:
    """Whether this is a kernel or a terminal; a log file needs no bar."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()
