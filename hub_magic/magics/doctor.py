"""`%hub_doctor`, and `%hub_mode --legacy-keras`, which is one of its fixes.

Apart from `hub`, because `%load_ext` need not wait for the checks.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING

from ..doctor import Diagnosis, Report, diagnose
from ..errors import SettingError
from ..keras import KerasSetting, use_legacy_keras

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .hub import HubMagics


def examine(arguments: Namespace, shell: InteractiveShell) -> Diagnosis | Report:
    """What a line of `%hub_doctor` asks for; what it says to run are lines for a cell."""
    diagnosis = diagnose(online=arguments.online, shell=type(shell))
    return diagnosis.report() if arguments.report else diagnosis


def choose_keras(arguments: Namespace, magics: HubMagics) -> KerasSetting | None:
    """`--legacy-keras`, kept or forgotten as the line says.

    With `--persist` it is saved first: where TensorFlow is imported already, the next session has it in time.

    Raises:
        SettingError: it comes too late for this session, or the line asks for two things.
    """
    if arguments.mode:
        raise SettingError("A mode and --legacy-keras are two things. Do one after the other.")
    if arguments.forget:
        magics.saved.forget("legacy_keras")
        return None
    if arguments.persist:
        magics.saved.save("legacy_keras", "1", autoload=arguments.autoload)
    with magics.environment.recording():
        setting = use_legacy_keras()
    return replace(setting, source="saved") if arguments.persist else setting
