"""TensorFlow's function `load_partial`, in which every way to load a SavedModel ends in TF2.

It is looked up by name at each call. So it alone is replaced, and names bound earlier
(`from tensorflow_hub import load`) are covered.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Protocol

MODULE = "tensorflow.python.saved_model.load"


class Load(Protocol):
    """TensorFlow's `load_partial`."""

    def __call__(self, export_dir: Any, filters: Any, tags: Any = None, options: Any = None) -> Any:
        """Load a model, or the parts of it that `filters` names."""


def load_function() -> Load:
    """The function in force, without the one around it, which has it as `inner`."""
    from tensorflow.python.saved_model import load as module

    found: Load = module.load_partial
    inner: Load = getattr(found, "inner", found)
    return inner


def replace_load(old: Load, new: Load) -> None:
    """Put a function in the place of another one, under every name that TensorFlow calls it by.

    A function with an attribute `inner` stays around whatever takes its place.
    """
    for module in _modules():
        found: Any = getattr(module, "load_partial", None)
        if found is old:
            module.load_partial = new  # type: ignore[attr-defined]
        elif getattr(found, "inner", None) is old:
            found.inner = new


def _modules() -> list[ModuleType]:
    # Keras calls it by its other names, under `tf.__internal__` and `tf.compat.v2.__internal__`.
    return [
        module
        for name, module in sys.modules.items()
        if name == MODULE or name.endswith("__internal__.saved_model")
    ]
