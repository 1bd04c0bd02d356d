"""What `%hub_mode auto` and `%%hub_tpu` have to know of the runtime.

Apart from `hub`, because it loads the modules that look at the runtime, which `%load_ext` need not wait for.
"""

from __future__ import annotations

from argparse import Namespace
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..cache.scan import free_space
from ..loading import LoadPlan, choose_mode, loading_for, plan_load
from ..render.plan import cell_line
from ..runtime import detect_runtime
from ..settings import ModeSetting, read_cache, read_mode, set_mode

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def set_mode_for_runtime(shell: InteractiveShell) -> ModeSetting:
    """Set the mode that suits this runtime; the setting given back says why."""
    location = read_cache().value
    mode, reason = choose_mode(detect_runtime(shell=type(shell)), location, free_space(location))
    return replace(set_mode(mode), reason=reason)


def make_plan(arguments: Namespace, shell: InteractiveShell) -> LoadPlan:
    """The plan that a line of `%hub_tpu` asks for.

    Raises:
        SettingError: the route or the bucket named cannot be used.
    """
    return plan_load(
        detect_runtime(shell=type(shell)),
        cache=read_cache(),
        mode=read_mode(),
        via=arguments.via,
        bucket=arguments.bucket or "",
    )


def cell_context(arguments: Namespace, shell: InteractiveShell) -> AbstractContextManager[object]:
    """What a `%%hub_tpu` cell runs in, announced in one line."""
    plan = make_plan(arguments, shell)
    print(cell_line(plan))  # noqa: T201 - a line of the cell's own output
    return loading_for(plan)
