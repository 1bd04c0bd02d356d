"""Progress bars, where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..download.progress import has_audience


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
        disable=not has_audience(),
    ) as bar:
        yield bar.update
