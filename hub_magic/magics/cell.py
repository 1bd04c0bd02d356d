"""Contexts that last for one cell, entered by a line of it.

A cell magic that runs its body with `shell.run_cell` changes how the cell behaves: the user's error is shown
twice or not at all, top-level `await` is refused, line numbers shift. So `%%hub_tpu ARGS` is rewritten into
the line magic `%hub_tpu --cell ARGS`. IPython runs the cell like any other cell, and an event at its end
leaves the contexts that the line entered.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

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
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._depth = 0
        self._open: list[tuple[int, ExitStack]] = []
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
        """Leave the open contexts, and stop listening."""
        self._leave(0)
        for event, callback in self._callbacks.items():
            self._shell.events.unregister(event, callback)

    def enter(self, context: AbstractContextManager[object]) -> None:
        """Enter a context that lasts until the running cell ends.

        A second context in the same cell (`%%timeit` runs its body many times) replaces the first.
        """
        self._leave(self._depth)
        stack = ExitStack()
        stack.enter_context(context)
        self._open.append((self._depth, stack))

    def _cell_begins(self, _info: ExecutionInfo) -> None:
        self._depth += 1

    def _cell_ends(self, result: ExecutionResult | None) -> None:
        # IPython ends an empty cell that it never began. ipykernel passes None when a cell was cancelled.
        if result is not None and result.info is not None and not (result.info.raw_cell or "").strip():
            return
        self._leave(self._depth)
        # The cell with %load_ext ends, but its beginning was not seen.
        self._depth = max(0, self._depth - 1)

    def _silent_cell_ends(self) -> None:
        """Leave the contexts of a cell run with `silent=True`, which has neither of the other events."""
        if self._depth == 0:
            self._leave(0)

    def _leave(self, depth: int) -> None:
        while self._open and self._open[-1][0] >= depth:
            self._open.pop()[1].close()
