"""A plan in force: what changes while it lasts, and is restored when it ends.

Two places decide how a model reaches a worker. Where its files come from is decided when the handle is
resolved (`bucket`, `uncompressed`, or the cache on this machine); how the worker gets at files on this
machine is decided when they are loaded (`relay`, `localhost`). A route that fails for a reason another one
answers gives way to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..settings import CACHE_VARIABLE, variables_set
from .plan import LoadPlan, ModelLoaded, RouteLeft
from .resolving import RouteResolver


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

    def note(self, event: ModelLoaded | RouteLeft) -> None:
        """Take down what happened; a change of route is passed on at once."""
        if isinstance(event, ModelLoaded):
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
    they were imported. Outside the `with` nothing is changed.

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
        stack.enter_context(variables_set({CACHE_VARIABLE: plan.cache}))
        if plan.route != "local":
            stack.enter_context(_routes_in_place(session))
        if strategy is not None:
            stack.enter_context(strategy.scope())
        yield session


@contextmanager
def _routes_in_place(session: LoadSession) -> Iterator[None]:
    """tensorflow_hub and TensorFlow take the plan's routes inside the `with`."""
    from .loader import ModelLoader

    resolver = RouteResolver(session.plan, session.note)
    loader = ModelLoader(session.plan, resolver=resolver, tell=session.note)
    with resolver.in_place(), loader.in_place():
        yield
