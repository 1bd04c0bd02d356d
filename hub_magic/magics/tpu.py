"""The parts of `%hub_mode auto`, `%%hub_tpu` and `%hub_doctor` that detect the runtime.

The module is separate from `hub`, because `%load_ext` need not wait for its imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..cache.scan import free_space
from ..doctor import Diagnosis, Report, diagnose
from ..errors import SettingError
from ..keras import KerasSetting, use_legacy_keras
from ..loading import LoadPlan, RouteLeft, choose_mode, loading_for, plan_load
from ..loading.strategy import named_strategy
from ..render.plan import cell_line, left_line, loads_line
from ..runtime import Runtime, detect_runtime
from ..settings import ModeSetting, read_cache, read_mode, set_mode

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..commands.line import DoctorLine, ModeLine, TpuLine
    from ..settings import EnvironmentRecord
    from .saved import SavedSettings


def set_mode_for_runtime(shell: InteractiveShell) -> ModeSetting:
    """Set the mode that suits this runtime, and return the setting with the reason."""
    location = read_cache().value
    mode, reason = choose_mode(detect_runtime(shell=type(shell)), location, free_space(location))
    return replace(set_mode(mode), reason=reason)


def make_plan(arguments: TpuLine, runtime: Runtime, bucket: str) -> LoadPlan:
    """Return the plan that a line of `%hub_tpu` requests.

    Args:
        arguments: the line's arguments.
        runtime: where kernel and worker run.
        bucket: the bucket configured for remote workers, or "".

    Raises:
        SettingError: the named route or bucket cannot be used.
    """
    return plan_load(
        runtime,
        cache=read_cache(),
        mode=read_mode(),
        via=arguments.via,
        bucket=arguments.bucket or (bucket if runtime.is_remote else ""),
    )


@contextmanager
def tpu_cell(
    arguments: TpuLine, shell: InteractiveShell, bucket: str, connect: Callable[[Runtime], Any]
) -> Iterator[None]:
    """Run a `%%hub_tpu` cell in this context, which prints one line before the cell and one after it.

    Args:
        arguments: the arguments of the cell's first line.
        shell: the shell of the cell; a TPU's strategy is put into its namespace.
        bucket: the bucket configured for remote workers, or "".
        connect: returns the strategy of a TPU, which it initialises the first time.

    Raises:
        HubMagicError: the named route, bucket or strategy cannot be used, or the TPU cannot.
    """
    runtime = detect_runtime(shell=type(shell))
    strategy = None
    if arguments.strategy:
        strategy = named_strategy(arguments.strategy, shell.user_ns)
    elif runtime.accelerator.kind == "tpu" and not arguments.no_init:
        strategy = shell.user_ns["strategy"] = connect(runtime)
        runtime = detect_runtime(shell=type(shell))
    plan = make_plan(arguments, runtime, bucket)
    _say(cell_line(plan))
    with loading_for(plan, strategy=strategy, notice=_say_left) as session:
        yield
    if session.loads:
        _say(loads_line(session.loads))


def _say_left(event: RouteLeft) -> None:
    _say(left_line(event))


def _say(line: str) -> None:
    print(line)  # noqa: T201 - a line of the cell's own output


def examine(arguments: DoctorLine, shell: InteractiveShell) -> Diagnosis | Report:
    """Return what a line of `%hub_doctor` requests; its fixes are lines for a cell."""
    diagnosis = diagnose(online=arguments.online, shell=type(shell))
    return diagnosis.report() if arguments.report else diagnosis


def choose_keras(
    arguments: ModeLine, saved: SavedSettings, environment: EnvironmentRecord
) -> KerasSetting | None:
    """Make tf.keras Keras 2 as `--legacy-keras` requests, and save or forget that as the line says.

    With `--persist` it is saved first: if TensorFlow is already imported, the next session uses it.

    Raises:
        SettingError: it is too late for this session, or two options cannot be combined.
    """
    if arguments.mode:
        raise SettingError("A mode and --legacy-keras cannot be combined. Run them one after the other.")
    if arguments.forget:
        saved.forget("legacy_keras")
        return None
    if arguments.persist:
        saved.save("legacy_keras", "1", autoload=arguments.autoload)
    with environment.recording():
        setting = use_legacy_keras()
    return replace(setting, source="saved") if arguments.persist else setting
