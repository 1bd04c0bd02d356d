"""How far a download is: a bar with total, speed and time left in a notebook, a line in a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


def has_audience() -> bool:
    """Whether somebody sees a bar: a terminal, or a notebook behind a kernel. Imports nothing."""
    return bool(sys.stderr and sys.stderr.isatty()) or in_kernel()


def in_kernel() -> bool:
    """Whether this process is a Jupyter kernel."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if get_shell is None or "ipykernel" not in sys.modules:
        return False
    return getattr(get_shell(), "kernel", None) is not None


class DownloadBar:
    """A bar, which appears with the first `show`. Use it in a `with`.

    Args:
        title: what is under way.
        total: bytes there will be; None when that is not known.
        shown: whether to show anything at all.
    """

    def __init__(self, title: str, total: int | None = None, *, shown: bool) -> None:
        self._title = title
        self._total = total
        self._shown = shown
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: int, *, title: str = "", note: str = "") -> None:
        """So many bytes there are.

        Args:
            done: bytes, counted from the beginning.
            title: a new title; the old one stays when it is "".
            note: what it waits for.
        """
        if not self._shown:
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                desc=title or self._title,
                total=self._total,
                unit="B",
                unit_scale=True,
                dynamic_ncols=True,
            )
        if title and title != self._title:
            self._title = title
            self._bar.set_description_str(title)
        if note != (self._bar.postfix or ""):
            self._bar.set_postfix_str(note)
        if done != self._bar.n:
            self._bar.update(done - self._bar.n)
