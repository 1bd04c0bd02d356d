"""Progress bars, where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..cache.parallel import Progress, Result, no_progress, run_aside
from ..download.progress import has_audience

_DELAY = 0.5  # seconds, which is too short for a bar to be read


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
        delay=_DELAY,
        leave=False,
        disable=not has_audience(),
    ) as bar:
        yield bar.update


def with_bar(what: str, look: Callable[[Progress], Result], *, unit: str = "") -> Result:
    """What `look` gives; when that takes long enough, a bar shows the time, and counts what `look` tells.

    Args:
        what: what is under way.
        look: is told whom to tell how many more there are. It must change nothing: see `run_aside`.
        unit: what these are, in the plural; "" where nothing is counted.
    """
    if not has_audience():
        return look(no_progress)
    from tqdm.auto import tqdm

    count = f": {{n_fmt}} {unit}" if unit else ""
    with tqdm(
        desc=what, bar_format=f"{{desc}}{count}, {{elapsed}}", miniters=0, delay=_DELAY, leave=False
    ) as bar:
        return run_aside(lambda tally: look(tally.add), bar.update)
