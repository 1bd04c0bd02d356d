"""Copying the cache elsewhere: from parsed arguments to the call."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable

from ..care.copy import Copied, CopyPlan, plan_copy
from ..facts import Fact
from ..locations import is_bucket, read_location
from ..progress import byte_bar
from ..settings import read_cache
from .looks import scan_with_bar


def copy_to(arguments: Namespace, show: Callable[[Fact], object]) -> CopyPlan | Copied:
    """`--copy-to LOCATION`: the models that are not there yet."""
    target = read_location(arguments.copy_to, os.environ)
    value = read_cache().value
    source = value.rstrip("/") if is_bucket(value) else os.path.abspath(value)  # noqa: PTH100 - links stay
    plan = plan_copy(scan_with_bar(source), scan_with_bar(target))
    if arguments.dry_run or not plan.going:
        return plan
    show(plan)
    with byte_bar("Copying", plan.size) as progress:
        return plan.execute(progress)
