"""Contexts that last for one cell, entered by a line of it.

A cell magic that runs its body with `shell.run_cell` changes how the cell behaves: the user's error is shown
twice or not at all, top-level `await` is refused, line numbers shift. So `%%hub_tpu ARGS` is rewritten into
the line magic `%hub_tpu --cell ARGS`. IPython runs the cell like any other cell, and an event at its end
leaves the contexts that the line entered.
"""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from IPython.core.inputtransformer2 import cell_magic

from ..commands.slips import asks_help, clean_line

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell


class CellForm:
    """The input transformer that makes `%%NAME ARGS` run as `%NAME --cell ARGS`.

    Args:
        name: the magic's name, without percent signs.
    """

    # IPython then skips the transformer when a terminal asks whether the input is complete, and waits for the
    # cell's body as for any `%%magic` (`TransformerManager.check_complete`).
    has_side_effects = True

    def __init__(self, name: str) -> None:
        self._name = name
        self._first_line = re.compile(rf"%%{re.escape(name)}(?P<arguments>[ \t;#].*)?\n?\Z", re.DOTALL)

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the cell's lines with the first line rewritten. `%%NAME?` is left for IPython's help.

        Comments above it, such as a form's `#@title` or Quarto's `#|`, stay comments.
        """
        above = next((number for number, line in enumerate(lines) if not _is_comment(line)), 0)
        found = self._first_line.match(lines[above]) if lines else None
        if found is None:
            return lines
        return [*lines[:above], *self._rewritten(found, lines[above:])]

    def _rewritten(self, found: re.Match[str], lines: list[str]) -> list[str]:
        arguments = clean_line(found["arguments"] or "").text
        if asks_help(arguments):  # help runs nothing
            return [f"%{self._name} {arguments}\n"]
        return [f"%{self._name} --cell {arguments}".rstrip() + "\n", *self._body(lines[1:])]

    def _body(self, lines: list[str]) -> list[str]:
        """Return the lines below; a cell magic at their start works as in a cell of its own."""
        first = next((number for number, line in enumerate(lines) if line.strip()), 0)
        if not lines or not lines[first].startswith("%%"):
            return lines
        return [*lines[:first], *cell_magic(self(lines[first:]))]


@dataclass(slots=True)
class _Thread:
    """What one thread is in.

    Attributes:
        cells: the cells that it runs, the innermost last.
        entered: contexts, with the depth of the cell that each lasts for.
        ended: the depth from which on contexts are to be left, as soon as the thread can; None for none.
    """

    cells: list[ExecutionInfo] = field(default_factory=list)
    entered: list[tuple[int, ExitStack]] = field(default_factory=list)
    ended: int | None = None


def _is_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


class LineEnds:
    """The transformer that moves a semicolon behind the call which IPython makes of one of our lines.

    IPython leaves the semicolon in the magic's arguments, or in its name (`%hub_cache;`). Behind the call it
    suppresses the result as in any cell, and an assignment keeps its value.

    Args:
        names: the magics' names.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._call = re.compile(
            r"(?P<before>.*get_ipython\(\)\.run_line_magic\()"
            rf"(?P<quote>['\"])(?P<name>{'|'.join(names)})(?P<stray>\W[^'\"]*)?(?P=quote), "
            r"(?P<line>'.*'|\".*\")\)\n?\Z"
        )

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the lines of Python with the semicolons moved."""
        return [self._moved(line) for line in lines]

    def _moved(self, line: str) -> str:
        found = self._call.match(line)
        if found is None:
            return line
        try:
            name = ast.literal_eval(f"{found['quote']}{found['name']}{found['stray'] or ''}{found['quote']}")
            stray = name[len(found["name"]) :]
            cleaned = clean_line(f"{stray} {ast.literal_eval(found['line'])}")
        except (SyntaxError, ValueError):  # not the one call that IPython makes of a line
            return line
        end = ";" if cleaned.is_silent else ""
        return f"{found['before']}{found['name']!r}, {cleaned.text!r}){end}\n"


class CellContexts:
    """The contexts of running cells. Each is left when its cell ends, for whatever reason.

    Cells nest (`%%capture`, `run_cell` inside a cell), so the depth at which a context was entered is kept.
    They also run in several threads at once (subshells), and the event that ends one may come in another's
    thread (ipykernel#1564). A context is left by the thread that entered it: then it is left when that
    thread's next cell begins.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._threads: WeakKeyDictionary[threading.Thread, _Thread] = WeakKeyDictionary()
        self._lock = threading.RLock()
        self._is_closing = False
        self._callbacks = {
            "pre_run_cell": self._cell_begins,
            "post_run_cell": self._cell_ends,
            "post_execute": self._silent_cell_ends,
        }

    def install(self) -> None:
        """Listen to IPython's events."""
        for event, callback in self._callbacks.items():
            self._shell.events.register(event, callback)

    def uninstall(self) -> None:
        """Leave what is still open, and listen no more once every thread has left what it entered."""
        self._leave(0)
        self._is_closing = True
        self._close()

    def enter(self, context: AbstractContextManager[object]) -> None:
        """Enter a context that lasts until the running cell ends.

        A second context in the same cell (`%%timeit` runs its body many times) replaces the first.
        """
        here = self._here()
        self._leave(len(here.cells))
        stack = ExitStack()
        stack.enter_context(context)
        here.entered.append((len(here.cells), stack))

    @property
    def _open(self) -> list[tuple[int, ExitStack]]:
        """What threads entered and have not left."""
        with self._lock:
            return [one for thread in self._threads.values() for one in thread.entered]

    def _here(self) -> _Thread:
        with self._lock:
            return self._threads.setdefault(threading.current_thread(), _Thread())

    def _cell_begins(self, info: ExecutionInfo) -> None:
        here = self._here()
        if here.ended is not None:
            self._leave(here.ended)
        here.cells.append(info)

    def _cell_ends(self, result: ExecutionResult | None) -> None:
        info = result.info if result is not None else None
        # IPython ends an empty cell that it never began. ipykernel hands over None when a cell was cancelled.
        if info is not None and not (info.raw_cell or "").strip():
            return
        here = self._here()
        if _depth_of(info, here) is None and self._is_anothers(info):
            return
        # A cell that nobody saw begin, as the one with %load_ext, is the innermost of this thread's.
        depth = _depth_of(info, here) or len(here.cells)
        self._leave(depth)
        del here.cells[max(depth - 1, 0) :]

    def _is_anothers(self, info: ExecutionInfo | None) -> bool:
        """Whether a cell that ended is another thread's, which then knows that it has to leave."""
        with self._lock:
            for thread in self._threads.values():
                depth = _depth_of(info, thread)
                if depth is not None:
                    del thread.cells[depth - 1 :]
                    thread.ended = depth
                    return True
        return False

    def _silent_cell_ends(self) -> None:
        """A cell run with `silent=True` has neither of the other events."""
        if not self._here().cells:
            self._leave(0)

    def _leave(self, depth: int) -> None:
        """Leave what this thread entered for cells of this depth and below."""
        here = self._here()
        here.ended = None
        while here.entered and here.entered[-1][0] >= depth:
            here.entered.pop()[1].close()
        self._close()

    def _close(self) -> None:
        with self._lock:
            if not self._is_closing or self._open:
                return
            self._is_closing = False
        for event, callback in self._callbacks.items():
            self._shell.events.unregister(event, callback)


def _depth_of(info: ExecutionInfo | None, thread: _Thread) -> int | None:
    """How deep a cell is among those that a thread runs; None when it is none of them."""
    return next((depth for depth, cell in enumerate(thread.cells, 1) if cell is info), None)
