"""What happened while a plan was in force."""

from __future__ import annotations

from dataclasses import dataclass

from ..facts import Fact
from .plan import Route


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
