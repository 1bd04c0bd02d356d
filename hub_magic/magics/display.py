"""How IPython shows our facts: registered with its formatters, so that the facts know nothing of it.

The classes are named, not imported: IPython looks a name up when it meets an object of that class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..render.shown import SHOWN, rendered

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.lib.pretty import PrettyPrinter


def register(shell: InteractiveShell) -> Callable[[], None]:
    """Show our facts as text and HTML; the function given back undoes it."""
    formatters = shell.display_formatter.formatters
    text, rich = formatters["text/plain"], formatters["text/html"]
    for name, text_function, html_function in SHOWN:
        text.for_type(name, _printer(text_function))
        rich.for_type(name, _renderer(html_function))

    def undo() -> None:
        for name, _, _ in SHOWN:
            text.pop(name, None)
            rich.pop(name, None)

    return undo


def _renderer(name: str) -> Callable[[Any], str]:
    def render(fact: Any) -> str:
        return rendered(fact, name)

    return render


def _printer(name: str) -> Callable[[Any, PrettyPrinter, bool], None]:
    render = _renderer(name)

    def print_fact(fact: Any, printer: PrettyPrinter, _cycle: bool) -> None:
        printer.text(render(fact))

    return print_fact
