"""Choose how a worker gets at a model's files, when they are loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from ..errors import RouteError, first_line
from ..store import open_store
from .load_function import Load
from .model_files import ModelFiles, find_model_files
from .plan import LoadPlan, ModelLoaded, Route, RouteLeft
from .relay import RelayReport, plan_relay, relay, worker_tasks
from .resolving import RouteResolver
from .worker import worker_ops_at_once

# This process. In full: a mere "/job:localhost", as the manual has it, is completed from the device in force,
# and then fails on every task but the first.
HERE = "/job:localhost/replica:0/task:0/device:CPU:0"


class ModelLoader:
    """Loads models by the routes of a plan.

    Args:
        plan: the routes, in order.
        resolver: knows which handle a path came from.
        tell: takes what happened.

    Attributes:
        resolver: the same.
    """

    def __init__(
        self,
        plan: LoadPlan,
        *,
        resolver: RouteResolver,
        tell: Callable[[ModelLoaded | RouteLeft], None],
    ) -> None:
        self._plan = plan
        self.resolver = resolver
        self._tell = tell

    def load(self, original: Load, export_dir: Any, filters: Any, tags: Any, options: Any) -> Any:
        """Load a model, by the first route that works.

        Raises:
            RouteError: the route the user named cannot work for this model.
        """
        path = os.fsdecode(export_dir)
        handle, route = self.resolver.origin(path)
        task = target_task()
        job = task.partition("/replica:")[0]
        if options is not None and options.experimental_io_device:
            loaded = original(export_dir, filters, tags, options)
            self._tell(ModelLoaded(handle, "localhost", job))
        elif open_store(path).is_remote:
            try:
                with worker_ops_at_once() if task else nullcontext():
                    loaded = original(export_dir, filters, tags, options)
            except Exception as error:
                # Whether the worker may read the bucket shows only now.
                other = (
                    self.resolver.resolve_again(path, first_line(error)) if _is_about_files(error) else None
                )
                if other is None:
                    raise
                return self.load(original, other, filters, tags, options)
            self._tell(ModelLoaded(handle, route, job))
        elif not task and not (self._plan.forced and self._plan.route == "localhost"):
            loaded = original(export_dir, filters, tags, options)
            self._tell(ModelLoaded(handle, "local"))
        else:
            # What fails on the worker has to fail here, where another route can be taken.
            with worker_ops_at_once():
                loaded = self._load_for_worker(_Request(original, path, filters, tags, options), handle, task)
        return loaded

    def _load_for_worker(self, request: _Request, handle: str, task: str) -> Any:
        """Load a model that lies on this machine's disk, for a worker that cannot see it."""
        model = find_model_files(request.path)
        job = task.partition("/replica:")[0]
        by_localhost = model.is_tf2
        if self._route(model, handle) == "localhost":
            try:
                loaded = request.run(io_device=HERE)
            except Exception as error:
                if self._plan.forced or not _is_about_files(error):
                    raise
                self._tell(RouteLeft(handle, "localhost", "relay", first_line(error)))
                by_localhost = False  # the worker gets all there is, and reads it itself
            else:
                self._tell(ModelLoaded(handle, "localhost", job))
                return loaded
        whole = model.is_tf2 and not by_localhost
        report = relay(
            plan_relay(request.path, has_variables_by_localhost=by_localhost, whole=whole), worker_tasks()
        )
        request = replace(request, path=report.directory_to_load)
        if by_localhost:
            loaded = request.run(io_device=HERE)
        elif model.is_tf2 or device_in_scope():
            loaded = request.run()
        else:
            loaded = request.run_for_strategy(task)
        self._tell(_relayed(handle, job, report))
        return loaded

    def _route(self, model: ModelFiles, handle: str) -> Route:
        """`relay` or `localhost`, by what the worker has to read itself."""
        problem = model.needs_more_than_localhost
        if not self._plan.forced:
            return "relay" if problem else "localhost"
        route = self._plan.route
        if route == "localhost" and problem and device_in_scope():
            raise RouteError(
                f"--via localhost cannot load {handle}: {problem}. Use --via relay, or omit --via."
            )
        if route in {"bucket", "uncompressed"}:
            raise RouteError(f"--via {route} cannot load {handle}: it is on this computer. Use --via relay.")
        return route


@dataclass(frozen=True)
class _Request:
    """One load, as TensorFlow was asked for it."""

    original: Load
    path: str
    filters: Any
    tags: Any
    options: Any

    def run_for_strategy(self, task: str) -> Any:
        """Load a TF1 model where only a strategy, and no device, is in force.

        Its loader puts variables on the current device, of which a strategy's scope is none; and its tables
        belong to whatever device a call runs on, so they are filled on the worker and here.
        """
        import tensorflow as tf

        with tf.device(f"{task}/device:CPU:0"):
            loaded = self.run()
        with tf.init_scope(), tf.device(HERE):
            loaded["root"].initializer._initialize()  # noqa: SLF001 - what the loader itself has called on the worker
        return loaded

    def run(self, *, io_device: str = "") -> Any:
        """Load, reading the checkpoint from this device where one is given; the user's options are kept."""
        import tensorflow as tf

        options = self.options
        if io_device:
            options = tf.saved_model.LoadOptions() if options is None else copy(options)
            options.experimental_io_device = io_device
        return self.original(self.path, self.filters, self.tags, options)


def target_task() -> str:
    """The remote task on which a model loaded now is placed; "" for this process."""
    import tensorflow as tf

    devices = [device_in_scope()]
    if not devices[0] and tf.distribute.has_strategy():
        devices = list(tf.distribute.get_strategy().extended.worker_devices)
    tasks = (re.match(r"/job:[^/]+/replica:\d+/task:\d+", device) for device in devices)
    return next((found[0] for found in tasks if found and not found[0].startswith("/job:localhost/")), "")


def device_in_scope() -> str:
    """The device named by the `tf.device` that is in force, in full; "" without one."""
    from tensorflow.python.eager import context

    name: str = context.context().device_name
    return name or ""


def _relayed(handle: str, job: str, report: RelayReport) -> ModelLoaded:
    return ModelLoaded(
        handle,
        "relay",
        job,
        sent=report.bytes_sent,
        seconds=report.seconds,
        memory=max(report.memory_here, report.memory_there),
    )


def _is_about_files(error: Exception) -> bool:
    """Whether another way to the files may help: they are not there, or may not be read, where the op ran."""
    import tensorflow as tf

    kinds = (
        OSError,
        tf.errors.NotFoundError,
        tf.errors.PermissionDeniedError,
        tf.errors.UnauthenticatedError,
        tf.errors.FailedPreconditionError,
        tf.errors.UnavailableError,
        tf.errors.UnimplementedError,
    )
    return isinstance(error, kinds)
