"""A plan in force: what changes while it lasts, and is restored when it ends.

Two places decide how a model reaches a worker. Where its files come from is decided when the handle is
resolved (`bucket`, `uncompressed`, or the cache on this machine); how the worker gets at files on this
machine is decided when they are loaded (`relay`, `localhost`). A route that fails for a reason another one
answers gives way to the next.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..cell_values import CellValue, Shared
from ..download.resolver import drop, put_on_top
from ..import_hooks import ImportHook, pkg_resources_stand_in
from ..settings import CACHE_VARIABLE, settings_held
from .load_function import load_function, replace_load
from .plan import LoadPlan, ModelLoaded, RouteLeft
from .resolving import RouteResolver

if TYPE_CHECKING:
    from .loader import ModelLoader


class LoadSession:
    """What happened while a plan was in force.

    Attributes:
        plan: the plan.
        loads: the models loaded so far, in order.
    """

    def __init__(self, plan: LoadPlan, notice: Callable[[RouteLeft], None] | None = None) -> None:
        self.plan = plan
        self.loads: tuple[ModelLoaded, ...] = ()
        self._notice = notice
        self._noting = threading.Lock()

    def note(self, event: ModelLoaded | RouteLeft) -> None:
        """Take down what happened; a change of route is passed on at once."""
        if isinstance(event, ModelLoaded):
            with self._noting:
                self.loads += (event,)
        elif self._notice:
            self._notice(event)


@contextmanager
def loading_for(
    plan: LoadPlan,
    *,
    strategy: Any = None,
    notice: Callable[[RouteLeft], None] | None = None,
) -> Iterator[LoadSession]:
    """Load models as the plan says, inside the `with`: the Python twin of `%%hub_tpu`.

    `hub.load`, `hub.KerasLayer`, `hub.resolve` and `tf.saved_model.load` are covered, under whatever name
    they were imported, in this thread and in those that are started meanwhile. Other threads, and all after
    the `with`, load as before.

    Args:
        plan: how models will be loaded.
        strategy: a `tf.distribute` strategy whose scope the body runs in.
        notice: is told when a route gives way to the next.

    Example:
        >>> with loading_for(plan_load()) as session:
        ...     loaded = len(session.loads)  # of each hub.load inside
        >>> loaded
        0
    """
    session = LoadSession(plan, notice)
    with ExitStack() as stack:
        stack.enter_context(settings_held({CACHE_VARIABLE: plan.cache}))
        if plan.route != "local":
            stack.enter_context(_routes_in_place(session))
        if strategy is not None:
            stack.enter_context(strategy.scope())
        yield session


@contextmanager
def _routes_in_place(session: LoadSession) -> Iterator[None]:
    """tensorflow_hub and TensorFlow take the plan's routes inside the `with`, where this thread loads."""
    from .loader import ModelLoader

    resolver = RouteResolver(session.plan, session.note)
    loader = ModelLoader(session.plan, resolver=resolver, tell=session.note)
    with _CROSSING.entered(), _LOADER.hold(loader):
        yield


# How this thread loads models, while a plan is in force for it.
_LOADER: CellValue[ModelLoader] = CellValue("hub_magic routes")


class RouteCrossing:
    """Where tensorflow_hub's resolvers part: each thread takes the routes of the plan that it is in.

    Attributes:
        rank: its place among resolvers of ours; the highest is asked first.
    """

    rank = 1

    def is_supported(self, handle: str) -> bool:
        """Whether a plan is in force here whose routes make a difference to this handle."""
        loader = _LOADER.get()
        return loader is not None and loader.resolver.is_supported(handle)

    def __call__(self, handle: str) -> str:
        """The model's path, by the first route that gives one."""
        loader = _LOADER.get()
        if loader is None:
            raise AssertionError  # nobody calls a resolver that has just said no
        return loader.resolver(handle)


@contextmanager
def _crossing() -> Iterator[None]:
    """Every resolved handle, and every load of TensorFlow's, passes the crossing inside the `with`."""
    crossing = RouteCrossing()
    registers: list[Any] = []

    def attach() -> None:
        register = sys.modules["tensorflow_hub.registry"].resolver
        registers.append(register)
        put_on_top(register, crossing)

    original = load_function()

    def load_partial(export_dir: Any, filters: Any, tags: Any = None, options: Any = None) -> Any:
        loader = _LOADER.get()
        if loader is None:
            return original(export_dir, filters, tags, options)
        return loader.load(original, export_dir, filters, tags, options)

    hook = ImportHook("tensorflow_hub", around=pkg_resources_stand_in, then=attach)
    hook.install()
    replace_load(original, load_partial)
    try:
        yield
    finally:
        replace_load(load_partial, original)
        hook.uninstall()
        for register in registers:
            drop(register, crossing)


_CROSSING = Shared(_crossing)
