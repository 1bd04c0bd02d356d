"""Hooks that run when a module is imported, now or later, without importing it.

`%load_ext hub_magic` must cost milliseconds and tensorflow_hub's import takes seconds. So the hooks for that
import wait in `sys.meta_path`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


class ImportHook(MetaPathFinder):
    """A hook that runs one module's import inside a context, and calls back after it.

    Args:
        name: the module that the hook waits for, "tensorflow_hub".
        around: entered while the module's code runs, at every attempt.
        then: called after a successful import.
    """

    def __init__(
        self,
        name: str,
        *,
        around: Callable[[], AbstractContextManager[object]],
        then: Callable[[], object],
    ) -> None:
        self.name = name
        self.around = around
        self.then = then

    def install(self) -> None:
        """Wait for the import; call back at once if it has already happened."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        if self.name in sys.modules:
            self.then()

    def uninstall(self) -> None:
        """Stop waiting."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the other finders, with its loader watched."""
        if fullname != self.name:
            return None
        # Search only the finders behind this one: two hooks for one module would ask each other forever.
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _WatchedLoader(spec.loader, self)
                return spec
        return None


class _WatchedLoader(Loader):
    """A module's own loader, with the hook around it."""

    def __init__(self, loader: Loader, hook: ImportHook) -> None:
        self._loader = loader
        self._hook = hook

    # resource readers and `get_data` belong to the real loader
    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader  # the module keeps no trace of the hook
        module.__loader__ = self._loader
        with self._hook.around():
            self._loader.exec_module(module)
        self._hook.then()


def is_installed(name: str) -> bool:
    """Return whether a top-level module can be imported, without importing it."""
    try:
        return name in sys.modules or find_spec(name) is not None
    except (ValueError, ImportError):  # a module in sys.modules without a spec
        return False


_NAME = "pkg_resources"


@contextmanager
def pkg_resources_stand_in() -> Iterator[None]:
    """Make `from pkg_resources import parse_version` work inside the `with`, even without setuptools."""
    if is_installed(_NAME):
        yield
        return
    from packaging.version import parse

    module = ModuleType(_NAME, "Lent to tensorflow_hub by hub_magic while it is being imported.")
    module.parse_version = parse  # type: ignore[attr-defined]
    sys.modules[_NAME] = module
    try:
        yield
    finally:
        if sys.modules.get(_NAME) is module:
            del sys.modules[_NAME]
