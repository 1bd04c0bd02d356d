"""The browser's front end: an anywidget that holds no state of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_STATIC = Path(__file__).parent.parent / "static"

Answer = Callable[[Any], object]


class CacheView(anywidget.AnyWidget):
    """What draws the table.

    Rows travel in `data` when the view is opened and in messages afterwards, so that a changed size does not
    send ten thousand rows again. A page that is loaded anew asks for `data` and gets the rows of that moment.

    Args:
        snapshot: gives all that the view shows, as JSON takes it.
        answer: takes a message from the front end.
    """

    _esm = _STATIC / "browser.js"
    _css = _STATIC / "browser.css"
    data = traitlets.Dict(help="what is shown; made when it is asked for").tag(
        sync=True, to_json=lambda _value, view: view.snapshot()
    )

    def __init__(self, snapshot: Callable[[], dict[str, Any]], answer: Answer) -> None:
        self.snapshot = snapshot
        super().__init__()
        self.on_msg(lambda _view, content, _buffers: answer(content))
