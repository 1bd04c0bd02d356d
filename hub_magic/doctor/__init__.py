"""Common problems of a TensorFlow Hub set-up, each with its fix."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from ..runtime import detect_runtime, versions_installed
from ..store import open_store
from .context import Fixes, Surroundings
from .diagnosis import Diagnosis, Finding, Report
from .entries import check_entries
from .location import check_location
from .network import check_credentials, check_network
from .packages import check_front_end, check_machine, check_packages
from .variables import check_variables


def diagnose(
    *,
    online: bool = False,
    shell: type | None = None,
    env: Mapping[str, str] | None = None,
    modules: Mapping[str, ModuleType] | None = None,
    root: Path | str = "/",
    fixes: Fixes | None = None,
) -> Diagnosis:
    """Return the findings about everything that commonly goes wrong, in well under two seconds.

    Args:
        online: whether to ask the hosts of the cached models, and the bucket that is the cache.
        shell: the class of the IPython shell (`type(get_ipython())`); None outside IPython, where fixes are
            lines for a shell.
        env: the environment; `os.environ` when None.
        modules: the imported modules; `sys.modules` when None.
        root: the file system's root, with `dev`, `etc`, `proc`, `sys` and `usr` in it.
        fixes: the fixes for the place where this is read; chosen by `shell` when None.

    Example:
        >>> len(diagnose().findings) > 10
        True
    """
    env = os.environ if env is None else env
    shell = _running_shell() if shell is None else shell
    here = Surroundings(
        env=env,
        modules=sys.modules if modules is None else modules,
        version_of=versions_installed(),
        runtime=detect_runtime(env=env, root=root, shell=shell, modules=modules),
        fixes=fixes or Fixes(in_notebook=shell is not None),
        root=Path(root),
        is_online=online,
    )
    return Diagnosis(tuple(map(_on_one_line, _findings(here))))


def _running_shell() -> type | None:
    """The class of the IPython shell that this process runs; IPython is not imported for that."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_shell() if get_shell else None
    return None if shell is None else type(shell)


def _on_one_line(finding: Finding) -> Finding:
    """Return the finding, without a fix that cannot be copied: a path may hold line ends."""
    return finding if finding.fix.isprintable() else replace(finding, fix="")


def _findings(here: Surroundings) -> Iterator[Finding]:
    yield from check_packages(here)
    yield from check_variables(here)
    if not open_store(here.cache).is_remote:
        entries, size = check_entries(here)
        yield from check_location(here, size)
        yield from entries
    yield from check_credentials(here)
    yield from check_network(here)
    yield from check_machine(here)
    yield from check_front_end(here)
    if here.is_online:
        from .network import check_hosts

        yield from check_hosts(here)


__all__ = ["Diagnosis", "Finding", "Report", "diagnose"]
