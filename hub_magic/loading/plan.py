"""The plan: the routes by which a worker gets at models, their order, and why.

Pure: it looks at facts that are handed in, and changes nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from ..errors import SettingError
from ..facts import Fact
from ..handles import Handle
from ..locations import read_bucket
from ..quantities import size
from ..runtime import Runtime, detect_runtime
from ..settings import CacheSetting, ModeSetting, read_cache, read_mode
from ..store import open_store

Route = Literal["local", "bucket", "uncompressed", "relay", "localhost"]
ROUTES: tuple[Route, ...] = get_args(Route)


@dataclass(frozen=True, slots=True)
class RouteReason(Fact):
    """A route, and why it is taken or left.

    Example:
        >>> plan_load().routes[0].route
        'local'
    """

    route: Route
    reason: str


@dataclass(frozen=True, slots=True)
class LoadPlan(Fact):
    """How models will be loaded here.

    Attributes:
        runtime: what was seen of kernel and worker.
        routes: the routes that can work, in the order in which they are tried.
        excluded: the routes that cannot, and why.
        forced: whether the user named the route.
        cache: the location in which models are cached while the plan is in force.
        better: what would open a better route, as a line to run; "" when there is none.
        warnings: what has to be said before anything else.

    Example:
        >>> plan_load().route
        'local'
    """

    runtime: Runtime
    routes: tuple[RouteReason, ...]
    excluded: tuple[RouteReason, ...]
    forced: bool
    cache: str
    better: str = ""
    warnings: tuple[str, ...] = ()
    derived: ClassVar[tuple[str, ...]] = ("route",)

    @property
    def route(self) -> Route:
        """The route tried first."""
        return self.routes[0].route


def plan_load(
    runtime: Runtime | None = None,
    *,
    cache: CacheSetting | None = None,
    mode: ModeSetting | None = None,
    handle: Handle | None = None,
    via: str = "auto",
    bucket: str = "",
) -> LoadPlan:
    """Return how models will be loaded: the routes to the worker, their order, and why.

    Args:
        runtime: where the kernel and the worker run; what is detected when None.
        cache: the cache; the one in force when None.
        mode: the mode; the one in force when None.
        handle: the model, where the plan is for one model only.
        via: the user's word for the route, "auto" for none.
        bucket: a `gs://` location to cache in instead of `cache`.

    Raises:
        SettingError: there is no such route, it needs what is not there, or `bucket` is no bucket.

    Example:
        >>> plan_load(via="local").forced
        True
    """
    runtime = detect_runtime() if runtime is None else runtime
    cache = read_cache() if cache is None else cache
    mode = read_mode() if mode is None else mode
    location = read_bucket(bucket, "--bucket", os.environ) if bucket else cache.value
    judged = _judge(runtime, location, mode.value, handle)
    possible = tuple(RouteReason(route, reason) for route, works, reason in judged if works)
    excluded = tuple(RouteReason(route, reason) for route, works, reason in judged if not works)
    forced = via.lower() != "auto"
    if forced:
        possible = (_forced(via.lower(), possible, excluded),)
    elif possible[0].route == "local":
        needless = tuple(RouteReason(one.route, "not needed") for one in possible[1:])
        possible, excluded = possible[:1], (*needless, *excluded)
    return LoadPlan(
        runtime,
        routes=possible,
        excluded=excluded,
        forced=forced,
        cache=location,
        better=_better(runtime, location),
        warnings=_warnings(runtime),
    )


def _judge(
    runtime: Runtime, location: str, mode: str, handle: Handle | None
) -> list[tuple[Route, bool, str]]:
    """Every route in the order of preference: whether it can work, and why."""
    remote = runtime.is_remote
    kind = handle.kind if handle else "http"
    in_bucket = kind == "gs" or open_store(location).is_remote
    offline = mode == "offline"
    return [
        (
            "local",
            not remote,
            "the worker cannot read this computer's disk" if remote else _why_local(runtime),
        ),
        (
            "bucket",
            in_bucket and kind != "path",
            "the worker reads the cache in the bucket" if in_bucket else "the cache is not in a bucket",
        ),
        (
            "uncompressed",
            kind == "http" and not offline,
            "the mode is offline" if offline else "the worker reads the host's bucket, if it has one",
        ),
        (
            "relay",
            remote and kind != "gs",
            "what the worker reads is sent to it" if remote else "there is no remote worker",
        ),
        (
            "localhost",
            kind != "gs",
            "this computer reads TF2 variables for the worker; only for models without assets",
        ),
    ]


def _why_local(runtime: Runtime) -> str:
    if runtime.accelerator.kind == "none":
        return "there is no accelerator"
    return f"the {runtime.accelerator.kind.upper()} is in this computer and reads its disk"


def _forced(via: str, possible: tuple[RouteReason, ...], excluded: tuple[RouteReason, ...]) -> RouteReason:
    if via not in ROUTES:
        raise SettingError(f"There is no route {via!r}. The routes are auto, {', '.join(ROUTES)}.")
    for one in possible:
        if one.route == via:
            return one
    reason = next(one.reason for one in excluded if one.route == via)
    hint = (
        "Give one with --bucket gs://BUCKET/PATH."
        if via == "bucket"
        else f"Omit --via, or use --via {possible[0].route}."
    )
    raise SettingError(f"--via {via} cannot be used: {reason}. {hint}")


def _better(runtime: Runtime, location: str) -> str:
    if runtime.is_remote and not open_store(location).is_remote:
        return (
            "%hub_cache gs://BUCKET/PATH keeps models where every worker reads them, once for all sessions."
        )
    return ""


def _warnings(runtime: Runtime) -> tuple[str, ...]:
    build = runtime.tensorflow
    if not build.remedy:
        return ()
    here = f"{build.package} {build.version}" if build.package else "no TensorFlow"
    return (f"This computer has a TPU, but {here} cannot use it. Run: {build.remedy}",)


@dataclass(frozen=True, slots=True)
class ModelLoaded(Fact):
    """A model that was loaded.

    Attributes:
        handle: its handle, or its path where it was loaded by path.
        route: how its files reached the worker.
        worker: the job that holds it ("/job:worker"), or "" for this process.
        sent: bytes sent to workers for it; 0 when they had them already, or needed none.
        seconds: how long sending took.
        memory: bytes of memory that its files take, here and on each worker, where the worker has no disk to
            keep them on; else 0.
    """

    handle: str
    route: Route
    worker: str = ""
    sent: int = 0
    seconds: float = 0.0
    memory: int = 0


@dataclass(frozen=True, slots=True)
class RouteLeft(Fact):
    """A route that did not work for a model, and the one tried next.

    Attributes:
        handle: the model's handle or path.
        route: the route that failed.
        next_route: the one that is tried instead.
        reason: why it failed, in one line.
    """

    handle: str
    route: Route
    next_route: Route
    reason: str


# A model of a few hundred megabytes, its archive's share, and room to work.
_LITTLE_SPACE = 2_000_000_000


def choose_mode(runtime: Runtime, location: str, free: int) -> tuple[str, str]:
    """The mode for this runtime, and why.

    Args:
        runtime: where the kernel and the worker run.
        location: the cache location in force.
        free: bytes free there; negative when there is no such number.
    """
    if open_store(location).is_remote:
        return "auto", "the cache is a bucket, which every worker reads"
    if runtime.is_remote:
        return (
            "uncompressed",
            f"the worker at {', '.join(runtime.worker.endpoints)} cannot read this computer's disk",
        )
    if 0 <= free < _LITTLE_SPACE:
        return "uncompressed", f"only {size(free)} free at {location}"
    return "auto", f"models are read from this computer's disk, with {size(free)} free at {location}"
