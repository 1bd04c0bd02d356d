"""Choose where a model's files come from, when its handle is resolved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar

from ..errors import HubMagicError, RouteError, first_line
from ..settings import CACHE_VARIABLE, MODE_FORMATS, MODE_VARIABLE, default_cache, settings_held
from ..store import open_store
from .plan import LoadPlan, Route, RouteLeft

# The one that asks tensorflow_hub's resolvers just now, in this thread, and must not be asked itself.
_ASKING: ContextVar[object] = ContextVar("hub_magic asks for a route", default=None)


class RouteResolver:
    """A resolver for tensorflow_hub that takes a plan's routes in turn.

    It asks tensorflow_hub's resolvers, with the settings that the route needs.

    Args:
        plan: the routes, in order.
        tell: takes a `RouteLeft` when a route gives way to the next.
    """

    def __init__(self, plan: LoadPlan, tell: Callable[[RouteLeft], None]) -> None:
        self._plan = plan
        self._tell = tell
        self._origins: dict[str, tuple[str, Route]] = {}

    def is_supported(self, handle: str) -> bool:
        """Whether the routes make a difference to this handle: a URL, and not asked by ourselves."""
        return _ASKING.get() is not self and str(handle).startswith(("http://", "https://"))

    def __call__(self, handle: str) -> str:
        """The model's path, by the first route that gives one.

        Raises:
            RouteError: the route the user named does not work for this model.
        """
        return self.resolve(handle, [one.route for one in self._plan.routes])

    def origin(self, path: str) -> tuple[str, Route]:
        """The handle that was resolved to this path and the route it took; the path itself if none was."""
        return self._origins.get(path, (path, "bucket" if open_store(path).is_remote else "local"))

    def resolve_again(self, path: str, reason: str) -> str | None:
        """The path by the routes after the one that gave `path`; None when none is left."""
        handle, route = self.origin(path)
        routes = [one.route for one in self._plan.routes]
        if handle == path or route not in routes or routes[-1] == route:
            return None
        later = routes[routes.index(route) + 1 :]
        self._tell(RouteLeft(handle, route, later[0], reason))
        return self.resolve(handle, later)

    def resolve(self, handle: str, routes: Sequence[Route]) -> str:
        """The model's path, by the first of these routes that gives one."""
        for route, following in zip(routes, [*routes[1:], None], strict=True):
            try:
                path = self._resolve_by(route, handle)
            # tensorflow_hub raises ValueError where a host answers no 303, and TensorFlow's file systems
            # raise RuntimeError's children, for whatever the bucket answers.
            except (HubMagicError, OSError, ValueError, RuntimeError) as error:
                if following is None or route not in {"bucket", "uncompressed"}:
                    if self._plan.forced and route in {"bucket", "uncompressed"}:
                        raise RouteError(
                            f"--via {route} cannot load {handle}: {first_line(error)}. "
                            "Omit --via, or use --via relay."
                        ) from error
                    raise
                self._tell(RouteLeft(handle, route, following, first_line(error)))
            else:
                self._origins[path] = (handle, route)
                return path
        raise RouteError(f"No route works for {handle}.")

    def _resolve_by(self, route: Route, handle: str) -> str:
        cache = self._plan.cache
        if open_store(cache).is_remote and route != "bucket":
            cache = default_cache()
        mode = MODE_FORMATS["uncompressed" if route == "uncompressed" else "compressed"]
        from tensorflow_hub import registry

        asking = _ASKING.set(self)
        try:
            with settings_held({CACHE_VARIABLE: cache, MODE_VARIABLE: mode}):
                path: str = registry.resolver(handle)
        finally:
            _ASKING.reset(asking)
        return path
