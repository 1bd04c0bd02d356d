"""`%load_ext hub_magic`, and `%unload_ext`, which undoes all of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import Completion
from IPython.core.error import TryNext

from .. import download
from ..commands.options import HELP, MAGICS
from ..facts import Fact
from ..import_hooks import ImportHook, pkg_resources_stand_in
from ..render import SHOWN, functions_of
from .cell import CellForm, LineEnds
from .hub import HubMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.lib.pretty import PrettyPrinter


# The beginning of a line or the part after `name =`, with and without percent signs.
_LINE = r"(?:[^=%]*=\s*)?%{0,2}(?P<name>NAMES)[ \t]+(?P<rest>.*)"


def install_completion(shell: InteractiveShell) -> Callable[[], None]:
    """Complete the lines of our magics, with our words alone, and return the function that undoes it."""
    pattern = re.compile(_LINE.replace("NAMES", "|".join(MAGICS)))

    def complete(_shell: InteractiveShell, event: Any) -> list[str]:
        return _complete(pattern, event)

    shell.set_hook("complete_command", complete, re_key=pattern.pattern)
    completer = shell.Completer
    all_completions = completer.completions

    def completions(text: str, offset: int) -> Iterator[Completion]:
        line = text[:offset].rpartition("\n")[2]
        found = _words_for(pattern, line)
        if found is None or not (found[1] or "%" in line):
            yield from all_completions(text, offset)
            return
        start = offset - len(found[0])
        for one in found[1]:
            yield Completion(start=start, end=offset, text=one, type="magic")

    # The hook alone does not do: IPython adds what Jedi takes the words of the line for (`--pr`: `--print`).
    completer.completions = completions

    def undo() -> None:
        if completer.__dict__.get("completions") is completions:
            del completer.completions
        # IPython has no method that removes a hook.
        shell.strdispatchers["complete_command"].regexs.pop(pattern, None)

    return undo


def _complete(pattern: re.Pattern[str], event: Any) -> list[str]:
    """Return completions for the event's symbol, which IPython cuts at colons and similar characters."""
    line = _words_for(pattern, event.text_until_cursor)
    if line is None:
        raise TryNext
    word, found = line
    cut = len(word) - len(event.symbol)
    if not found or cut < 0 or not word.endswith(event.symbol):
        raise TryNext
    return [one[cut:] for one in found]


def _words_for(pattern: re.Pattern[str], text: str) -> tuple[str, list[str]] | None:
    """Return the word at the end of a line and what it may become; None where the line is not ours."""
    from ..commands.completion import candidates

    line = pattern.match(text)
    if line is None:
        return None
    *before, word = re.split(r"[ \t]+", line["rest"])
    found, takes_paths = candidates((*MAGICS[line["name"]], HELP), before, word)
    return word, [*found, *(_paths(word) if takes_paths else ())]


def _paths(word: str) -> list[str]:
    """Return the paths that begin with this word, folders with a final slash; `~` stays as written."""
    folder, name = os.path.split(word)
    try:
        with os.scandir(Path(folder or ".").expanduser()) as found:
            items = sorted(
                (item.name, item.is_dir())
                for item in found
                if item.name.startswith(name) and (name or not item.name.startswith("."))
            )
    except (OSError, RuntimeError):  # no such folder, or no such user
        return []
    before = word[: len(word) - len(name)]
    return [f"{before}{item}{'/' if is_folder else ''}" for item, is_folder in items if " " not in item]


def register(shell: InteractiveShell) -> Callable[[], None]:
    """Show our facts as text and HTML, and return the function that undoes it."""
    formatters = shell.display_formatter.formatters
    text, rich = formatters["text/plain"], formatters["text/html"]
    for name in SHOWN:
        text.for_type(name, _print_fact)
        rich.for_type(name, _fact_html)

    def undo() -> None:
        for name in SHOWN:
            text.pop(name, None)
            rich.pop(name, None)

    return undo


def _print_fact(fact: Fact, printer: PrettyPrinter, _cycle: bool) -> None:
    shown = functions_of(fact)
    printer.text(shown[0](fact) if shown else repr(fact))


def _fact_html(fact: Fact) -> str | None:
    shown = functions_of(fact)
    return shown[1](fact) if shown else None


# The module of TensorFlow's function that loads a model.
_LOADER = "tensorflow.python.saved_model.load"
# The one instance of a shell is an attribute of its registry of magics, where IPython keeps it anyway.
_REGISTRY_NAME = HubMagics.__name__


def load(shell: InteractiveShell) -> None:
    """Register the magics, apply saved settings, and wait for the import of tensorflow_hub."""
    if _REGISTRY_NAME in shell.magics_manager.registry:
        return
    magics = HubMagics(shell)
    with ExitStack() as undo:
        undo.callback(_unregister, shell, magics)
        shell.register_magics(magics)
        undo.callback(magics.environment.restore)
        magics.apply_saved()
        undo.callback(register(shell))
        undo.callback(install_completion(shell))
        form = CellForm("hub_tpu")
        undo.callback(shell.input_transformers_cleanup.remove, form)
        shell.input_transformers_cleanup.append(form)
        ends = LineEnds(MAGICS)
        undo.callback(shell.input_transformers_post.remove, ends)
        shell.input_transformers_post.append(ends)
        undo.callback(_explain_loads())
        undo.callback(magics.cells.uninstall)
        magics.cells.install()
        hook = ImportHook("tensorflow_hub", around=pkg_resources_stand_in, then=lambda: None)
        undo.callback(hook.uninstall)
        hook.install()
        undo.callback(download.uninstall)
        download.install()
        magics.undo = undo.pop_all()


def unload(shell: InteractiveShell) -> None:
    """Remove everything that `load` added."""
    magics = shell.magics_manager.registry.get(_REGISTRY_NAME)
    if magics is not None:
        magics.undo.close()


def _explain_loads() -> Callable[[], None]:
    """Explain failures at damaged cached copies, as soon as the modules that raise them are imported.

    The returned function undoes it.
    """
    hooks = [
        ImportHook(_LOADER, around=nullcontext, then=_explain_tensorflow),
        ImportHook("tensorflow_hub.module_v2", around=nullcontext, then=_explain_hub),
    ]
    for hook in hooks:
        hook.install()

    def undo() -> None:
        from ..loading import damage

        for hook in hooks:
            hook.uninstall()
        damage.explain_no_more()

    return undo


def _explain_tensorflow() -> None:
    from ..loading.damage import explain_loads

    explain_loads()


def _explain_hub() -> None:
    from ..loading.damage import explain_hub_loads

    explain_hub_loads()


def _unregister(shell: InteractiveShell, magics: HubMagics) -> None:
    manager = shell.magics_manager
    for kind, ours in magics.magics.items():
        for name in ours:
            manager.magics[kind].pop(name, None)
    manager.registry.pop(_REGISTRY_NAME, None)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
