"""`%hub_mode`, `%hub_cache`, `%hub_tpu`, `%%hub_tpu` and `%hub_doctor`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import (
    MagicArgumentParser,
    argument,
    argument_group,
    kwds,
    magic_arguments,
)
from IPython.utils.process import arg_split
from traitlets import Unicode

from ..commands import options
from ..commands.options import GROUPS, HELP
from ..commands.slips import (
    asks_help,
    check_location,
    check_words,
    clean_line,
    looks_like_location,
    nearest,
    split_line,
)
from ..errors import HubMagicError
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

    from ..commands.line import Line
    from ..doctor import Diagnosis, Report
    from ..keras import KerasSetting
    from ..loading import LoadPlan
    from ..runtime import Runtime


Magic = Callable[..., Any]
AnyLine = TypeVar("AnyLine", bound="Line")


def takes(name: str) -> Callable[[Magic], Magic]:
    """Return a decorator for the magic of this name: its arguments, its help, and what every line has.

    Every line may end in a semicolon, which suppresses the result, or in a comment; `--help` prints the help.
    """
    given = (*options.MAGICS[name], HELP)

    def decorate(magic: Magic) -> Magic:
        # IPython reads the decorators from the last applied to the first.
        for group in ("", *GROUPS)[::-1]:
            members = [one for one in given if one.group == group]
            for one in reversed(members):
                magic = argument(*one.names, **one.settings)(magic)
            if group and members:
                magic = argument_group(group)(magic)
        examples = "\n".join(f"  {line}" for line in options.EXAMPLES[name])
        parsed: Magic = magic_arguments()(kwds(epilog=f"\nexamples:\n{examples}")(magic))

        @wraps(parsed)
        def run(magics: HubMagics, line: str, *cell: str | None) -> Any:
            cleaned = clean_line(line)
            if asks_help(cleaned.text):
                print(parsed.__doc__)  # noqa: T201 - the help is the cell's output
                return None
            result = parsed(magics, cleaned.text, *cell)
            return None if cleaned.is_silent else result

        return run

    return decorate


def parse(magic: Magic, line: str, kind: type[AnyLine]) -> AnyLine:
    """Return the arguments on a magic's line.

    Raises:
        UsageError: argparse does not understand them.
        SettingError: a quotation mark is left open, or a word is a slip.
    """
    parser: MagicArgumentParser = magic.parser  # type: ignore[attr-defined]  # set by `magic_arguments`
    taken = options.MAGICS[parser.prog]
    flags = [flag for one in taken if one.group for flag in one.names if flag.startswith("-")]
    positional = [one.names[0] for one in taken if not one.names[0].startswith("-")]
    if "(" in line:
        from ..commands.sources import unpack_calls

        line = unpack_calls(line)
    words = split_line(line, arg_split)
    check_words(words, parser.prog, flags, positional)
    try:
        arguments, surplus = parser.parse_known_args(words)
    except UsageError as error:
        raise UsageError(f"{error}. Help: %{parser.prog} --help") from None
    if surplus:
        raise UsageError(_unrecognized(parser.prog, surplus, flags, getattr(arguments, "location", None)))
    return kind.read(arguments)


def _unrecognized(magic: str, surplus: list[str], flags: list[str], location: str | None) -> str:
    """Return the message about words that have no place on the line, and what may have been meant."""
    hints = dict.fromkeys(nearest(word, flags) for word in surplus if word.startswith("-"))
    if location and not surplus[0].startswith("-"):
        if nearest(location, flags):
            check_location(location, flags)  # `%hub_cache fetch URL`
        path = " ".join([location, *(word for word in surplus if not word.startswith("-"))])
        path = path if looks_like_location(path) else f"./{path}"
        hints[f'Quote a path that contains spaces: %{magic} "{path}". '] = None
    return f"unrecognized arguments: {' '.join(surplus)}. {''.join(hints)}Help: %{magic} --help"


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
    @takes("hub_mode")
    def hub_mode(self, line: str) -> ModeSetting | KerasSetting | None:
        """Show how models are fetched, or set a mode for every load from now on."""
        from ..commands.line import ModeLine

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
    @takes("hub_cache")
    def hub_cache(self, line: str) -> Any:
        """Show, fetch, remove, repair and move cached models, and choose where they are cached."""
        from ..commands.line import CacheLine
        from .verbs import run_verb

        with self.environment.recording():
            return run_verb(parse(self.hub_cache, line, CacheLine), self.saved)

    @line_cell_magic
    @takes("hub_tpu")
    def hub_tpu(self, line: str, cell: str | None = None) -> LoadPlan | None:
        """Run this cell with models loaded so that the worker can read them.

        As a line, `%hub_tpu` shows what was detected, which route would be used, and why; it runs nothing.
        """
        from ..commands.line import TpuLine
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
    @takes("hub_doctor")
    def hub_doctor(self, line: str) -> Diagnosis | Report:
        """Check for common problems, and give a fix for each; .problems, .to_json(), .report()."""
        from ..commands.line import DoctorLine
        from .tpu import examine

        return examine(parse(self.hub_doctor, line, DoctorLine), self.shell)
