"""A plan in force: what is changed while it lasts, and put back when it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..settings import CACHE_VARIABLE
from .plan import LoadPlan


@contextmanager
def loading_for(plan: LoadPlan) -> Iterator[LoadPlan]:
    """Load models as the plan says, inside the `with`.

    The Python twin of `%%hub_tpu`. Outside the `with` nothing is changed.

    Args:
        plan: how models will be loaded.
    """
    with _variable(CACHE_VARIABLE, plan.cache):
        yield plan


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """The variable has this value inside the `with`."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
