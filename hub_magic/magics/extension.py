"""`%load_ext hub_magic`, and `%unload_ext`, which takes back all of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from .. import download
from ..import_hooks import ImportHook, pkg_resources_stand_in
from .cell import CellForm
from .completion import install_completion
from .display import register
from .hub import HubMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# Where TensorFlow's function that loads a model is, and what brings in the one of tensorflow_hub.
_LOADERS = {
    "tensorflow.python.saved_model.load": "explain_loads",
    "tensorflow_hub": "explain_hub_loads",
}
# The one instance of a shell hangs on its registry of magics, where IPython keeps it anyway.
_REGISTRY_NAME = HubMagics.__name__


def load(shell: InteractiveShell) -> None:
    """Register the magics, apply what was saved, and be there when tensorflow_hub is imported."""
    if _REGISTRY_NAME in shell.magics_manager.registry:
        return
    magics = HubMagics(shell)
    with ExitStack() as undo:
        undo.callback(_unregister, shell, magics)
        shell.register_magics(magics)
        undo.callback(magics.environment.take_back)
        magics.apply_saved()
        undo.callback(register(shell))
        undo.callback(install_completion(shell))
        form = CellForm("hub_tpu")
        undo.callback(shell.input_transformers_cleanup.remove, form)
        shell.input_transformers_cleanup.append(form)
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
    """Take back everything that `load` added."""
    magics = shell.magics_manager.registry.get(_REGISTRY_NAME)
    if magics is not None:
        magics.undo.close()


def _explain_loads() -> Callable[[], None]:
    """Have failures at a damaged cached copy explained, once there is what they come from.

    The function given back undoes it.
    """
    hooks = [
        ImportHook(module, around=nullcontext, then=partial(_explain, name))
        for module, name in _LOADERS.items()
    ]
    for hook in hooks:
        hook.install()

    def undo() -> None:
        for hook in hooks:
            hook.uninstall()
        _explain("explain_no_more")

    return undo


def _explain(name: str) -> None:
    from ..loading import damage as damaged

    getattr(damaged, name)()


def _unregister(shell: InteractiveShell, magics: HubMagics) -> None:
    manager = shell.magics_manager
    for kind, ours in magics.magics.items():
        for name in ours:
            manager.magics[kind].pop(name, None)
    manager.registry.pop(_REGISTRY_NAME, None)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
