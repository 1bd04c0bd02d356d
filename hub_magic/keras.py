"""The Keras that `tf.keras` is: Keras 3, or the Keras 2 of tf_keras, which hub.KerasLayer needs.

TensorFlow decides this once, during its import (`tensorflow/__init__.py`), so the variable must be set
before the import.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from types import ModuleType

from .errors import SettingError
from .import_hooks import is_installed
from .settings import KERAS_VARIABLE, Setting

# Source: `KerasLazyLoader` in `tensorflow/python/util/lazy_loader.py`; no other spelling counts.
KERAS_2_WORDS = ("1", "true", "True")


class KerasSetting(Setting):
    """The setting that `tf.keras` is Keras 2; `value` is the variable's value."""


def wants_keras_2(env: Mapping[str, str]) -> bool:
    """Return whether the environment requests Keras 2."""
    return env.get(KERAS_VARIABLE) in KERAS_2_WORDS


def imported_keras(modules: Mapping[str, ModuleType]) -> int:
    """Return which Keras `tf.keras` is in this process, 2 or 3; 0 while it can still be chosen."""
    tensorflow = modules.get("tensorflow")
    if tensorflow is None:
        return 0
    if vars(tensorflow).get("_tf_uses_legacy_keras", True):  # missing in versions without a choice
        return 2
    # TensorFlow 2.15 has the choice already, but is Keras 2 in any case.
    return 2 if getattr(modules.get("keras"), "__version__", "3").startswith("2.") else 3


def use_legacy_keras(
    *, env: MutableMapping[str, str] | None = None, modules: Mapping[str, ModuleType] | None = None
) -> KerasSetting:
    """Make `tf.keras` Keras 2, in time for the import of TensorFlow.

    Args:
        env: the environment; `os.environ` when None.
        modules: the imported modules; `sys.modules` when None.

    Raises:
        SettingError: TensorFlow has been imported with Keras 3, or tf_keras is not installed.

    Example:
        >>> use_legacy_keras().value
        '1'
    """
    env = os.environ if env is None else env
    if imported_keras(sys.modules if modules is None else modules) == 3:
        raise SettingError(
            "TensorFlow is imported already, so tf.keras stays Keras 3. Restart the kernel and run "
            "`%hub_mode --legacy-keras` before TensorFlow is imported."
        )
    if not is_installed("tf_keras"):
        raise SettingError(
            "tf_keras, which is Keras 2, is not installed. Run %hub_doctor for the line that installs it."
        )
    if not wants_keras_2(env):
        env[KERAS_VARIABLE] = "1"
    return KerasSetting(env[KERAS_VARIABLE], "variable", KERAS_VARIABLE)
