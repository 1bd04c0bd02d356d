"""Which mode suits this runtime."""

from __future__ import annotations

from ..locations import is_bucket
from ..runtime import Runtime

# A model of a few hundred megabytes, its archive's share, and room to work.
_LITTLE_SPACE = 2_000_000_000


def choose_mode(runtime: Runtime, location: str, free: int) -> tuple[str, str]:
    """The mode for this runtime, and why.

    Args:
        runtime: where the kernel and the worker run.
        location: the cache location in force.
        free: bytes free there; negative when there is no such number.
    """
    if is_bucket(location):
        return "auto", "the cache is a bucket, which every worker reads"
    if runtime.is_remote:
        return (
            "uncompressed",
            f"the worker at {', '.join(runtime.worker.endpoints)} cannot read this machine's disk",
        )
    if 0 <= free < _LITTLE_SPACE:
        return "uncompressed", f"only {free / 1e9:.1f} GB are free at {location}"
    return "auto", f"models are read from this machine's disk, and {free / 1e9:.0f} GB are free at {location}"
