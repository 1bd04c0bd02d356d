"""What the checks look at: read once, at the edge."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..locations import is_bucket
from ..runtime import Runtime
from ..settings import read_cache
from .fixes import Fixes


@dataclass(frozen=True)
class Surroundings:
    """Where the checks are made.

    Attributes:
        env: the environment.
        modules: the imported modules.
        version_of: the version of an installed package; None when it is not installed.
        runtime: where the kernel runs.
        fixes: how things are done here.
        root: the file system's root, with `etc`, `proc` and `usr` in it.
        is_online: whether hosts and buckets may be asked.
    """

    env: Mapping[str, str]
    modules: Mapping[str, ModuleType]
    version_of: Callable[[str], str | None]
    runtime: Runtime
    fixes: Fixes
    root: Path
    is_online: bool

    @property
    def cache(self) -> str:
        """The cache that tensorflow_hub will use."""
        location = read_cache(env=self.env).value
        return location if is_bucket(location) else os.path.abspath(location)  # noqa: PTH100 - links stay
