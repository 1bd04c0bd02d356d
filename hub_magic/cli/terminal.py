"""A person at a terminal is asked before models are deleted; a pipe gets ids instead of tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from ..cache import CachedModel, CacheScan
from ..cache.verify import Verification
from ..care.remove import Removal, Removed
from ..care.repair import Repair, Repaired
from ..download.fetching import FetchedModels
from ..quantities import plural, size


class DeclinedError(Exception):
    """The answer was no."""


def ask(plan: object) -> None:
    """Ask whether a plan that deletes models is to be carried out; off a terminal nobody is asked.

    Raises:
        DeclinedError: the answer is not yes.
    """
    if isinstance(plan, Removal) and plan.going:
        question = f"Remove {plural(len(plan.going), 'model')} ({size(plan.size)})?"
    elif isinstance(plan, Repair) and plan.fetching:
        question = f"Delete {plural(len(plan.fetching), 'damaged model')} and download again?"
    else:
        return
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()) or _is_in_cell(os.environ):
        return
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise DeclinedError


def _is_in_cell(env: Mapping[str, str]) -> bool:
    """Whether a notebook's cell runs the command (`!hub-magic ...`), at a terminal that nobody can type into.

    Jupyter's launcher sets JPY_PARENT_PID for a kernel, and ipykernel has pagers print instead of asking
    (`ZMQInteractiveShell.init_environment`).
    """
    return "JPY_PARENT_PID" in env or (env.get("PAGER") == env.get("GIT_PAGER") == "cat")


def ids_of(result: Any) -> list[str]:
    """Return what other commands call the models of a result: the handle, or the folder of one without."""
    if isinstance(result, str):
        return [result]
    models: tuple[CachedModel, ...] = ()
    if isinstance(result, FetchedModels):
        return [model.handle for model in result]
    if isinstance(result, CacheScan):
        models = result.models
    elif isinstance(result, Removal):
        models = tuple(choice.model for choice in result.going)
    elif isinstance(result, Removed):
        models = result.removed
    elif isinstance(result, Verification):
        models = tuple(one.model for one in result.damaged)
    elif isinstance(result, (Repair, Repaired)):
        fetched = result.fetching if isinstance(result, Repair) else result.fetched
        models = tuple(one.model for one in fetched)
    return [model.handle if model.handle.isprintable() and model.handle else model.folder for model in models]
