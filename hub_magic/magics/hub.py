"""`%hub_mode`, `%hub_cache`, `%hub_tpu`, `%%hub_tpu` and `%hub_doctor`."""

from __future__ import annotations

import os
import sys
import threading
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from traitlets import Unicode

from ..commands import options
from ..commands.line import CacheLine, DoctorLine, Line, ModeLine, TpuLine
from ..commands.options import Option
from ..errors import HubMagicError, SettingError
from ..settings import (
    KERAS_VARIABLE,
    EnvironmentRecord,
    ModeSetting,
    correct_environment,
    parse_mode,
    read_cache,
    read_mode,
    set_cache,
    set_mode,
)
from .cell import CellContexts
from .saved import SavedSettings, check_keeping

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..doctor import Diagnosis, Report
    from ..keras import KerasSetting
    from ..loading import LoadPlan
    from ..runtime import Runtime


Magic = Callable[..., Any]
AnyLine = TypeVar("AnyLine", bound=Line)


def takes(*options: Option) -> Callable[[Magic], Magic]:
    """Return a decorator for a magic with these arguments, in this order; its help is made from them."""

    def decorate(magic: Magic) -> Magic:
        for option in reversed(options):
            magic = argument(*option.names, **option.settings)(magic)
        decorated: Magic = magic_arguments()(magic)
        return decorated

    return decorate


def parse(magic: Magic, line: str, kind: type[AnyLine]) -> AnyLine:
    """Return the arguments on a magic's line.

    Raises:
        UsageError: argparse does not understand them.
        SettingError: a quotation mark is left open.
    """
    try:
        arguments: Namespace = parse_argstring(magic, line)
    except ValueError as error:  # raised by shlex; argparse raises its own errors
        raise SettingError(
            f"{line!r} cannot be split into arguments: {error}. Close the quotation mark."
        ) from error
    return kind.read(arguments)


@magics_class
class HubMagics(Magics):
    """The magics, and the settings that are saved for them."""

    mode = Unicode("", help="The mode set at every start; `%hub_mode MODE --persist` writes it.").tag(
        config=True
    )
    cache = Unicode("", help="The cache set at every start; `%hub_cache LOCATION --persist` writes it.").tag(
        config=True
    )
    bucket = Unicode("", help="The gs:// location that `%%hub_tpu` caches in for a remote worker.").tag(
        config=True
    )
    legacy_keras = Unicode(
        "", help="1 makes tf.keras Keras 2 at every start; `%hub_mode --legacy-keras --persist` writes it."
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell, parent=shell)
        self.environment = EnvironmentRecord()
        self.cells = CellContexts(shell)
        self.saved = SavedSettings(self)
        self.undo = ExitStack()
        self._tpu_strategy: Any = None
        self._connecting = threading.Lock()

    def apply_saved(self) -> None:
        """Apply saved settings, except where the environment or a flag says otherwise."""
        with self.environment.recording():
            correct_environment()
            try:
                if self.mode and read_mode().source == "default":
                    self._set_mode(self.mode)
                if self.cache and read_cache().source == "default":
                    set_cache(self.cache)
                if self.legacy_keras and KERAS_VARIABLE not in os.environ:
                    from ..keras import use_legacy_keras

                    use_legacy_keras()
            except HubMagicError as error:
                # A disk that is not mounted today must not stop the magics from loading.
                print(f"hub_magic: the saved settings could not be applied. {error}", file=sys.stderr)  # noqa: T201

    def _set_mode(self, text: str) -> ModeSetting:
        """Set the mode and return it; for `auto`, the mode that suits this runtime."""
        if parse_mode(text) != "auto":
            return set_mode(text)
        from .tpu import set_mode_for_runtime

        return set_mode_for_runtime(self.shell)

    def _connect(self, runtime: Runtime) -> Any:
        """Return the strategy of the TPU, connected once: initialising again would clear the TPU's memory."""
        from ..loading.strategy import connect_tpu

        with self._connecting:  # cells in several subshells may ask at once
            if self._tpu_strategy is None:
                self._tpu_strategy = connect_tpu(runtime)
            return self._tpu_strategy

    @line_magic
    @takes(*options.MAGICS["hub_mode"])
    def hub_mode(self, line: str) -> ModeSetting | KerasSetting | None:
        """Show how models are fetched, or set a mode for every load from now on."""
        arguments = parse(self.hub_mode, line, ModeLine)
        check_keeping(arguments)
        if arguments.legacy_keras:
            from .tpu import choose_keras

            return choose_keras(arguments, self.saved, self.environment)
        if arguments.forget:
            self.saved.forget("mode")
        with self.environment.recording():
            setting = self._set_mode(arguments.mode) if arguments.mode else read_mode(saved=self.mode)
        if not arguments.persist:
            return setting
        self.saved.save("mode", arguments.mode or setting.value, autoload=arguments.autoload)
        return replace(setting, source="saved")

    @line_magic
    @takes(*options.MAGICS["hub_cache"])
    def hub_cache(self, line: str) -> Any:
        """Show, fetch, remove, repair and move cached models, and choose where they are cached."""
        from .verbs import run_verb

        with self.environment.recording():
            return run_verb(parse(self.hub_cache, line, CacheLine), self.saved)

    @line_cell_magic
    @takes(*options.MAGICS["hub_tpu"])
    def hub_tpu(self, line: str, cell: str | None = None) -> LoadPlan | None:
        """Run this cell with models loaded so that the worker can read them.

        As a line, `%hub_tpu` shows what was detected, which route would be used, and why; it runs nothing.
        """
        from ..runtime import detect_runtime
        from .tpu import make_plan, tpu_cell
        from .verbs import keep_bucket

        arguments = parse(self.hub_tpu, line, TpuLine)
        if arguments.persist:
            self.bucket = keep_bucket(arguments.bucket, self.saved)
        if not arguments.cell and cell is None:
            return make_plan(arguments, detect_runtime(shell=type(self.shell)), self.bucket)
        context = tpu_cell(arguments, self.shell, self.bucket, self._connect)
        if cell is None:
            self.cells.enter(context)
            return None
        # Only a program calls the magic with a body: in a cell the first line is rewritten (`cell.py`).
        with context:
            exec(self.shell.transform_cell(cell), self.shell.user_ns)  # noqa: S102 - the body is the user's
        return None

    @line_magic
    @takes(*options.MAGICS["hub_doctor"])
    def hub_doctor(self, line: str) -> Diagnosis | Report:
        """Check for common problems, and give a fix for each; .problems, .to_json(), .report()."""
        from .tpu import examine

        return examine(parse(self.hub_doctor, line, DoctorLine), self.shell)
