"""Choose where a model's files come from, when its handle is resolved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import HubMagicError, RouteError, first_line
from ..import_hooks import ImportHook, pkg_resources_stand_in
from ..settings import CACHE_VARIABLE, MODE_FORMATS, MODE_VARIABLE, default_cache, variables_set
from ..store import open_store
from .plan import LoadPlan, Route, RouteLeft


class RouteResolver:
    """A resolver for tensorflow_hub that takes a plan's routes in turn.

    tensorflow_hub asks the last resolver added first; this one asks those behind it, with the settings that
    the route needs.

    Args:
        plan: the routes, in order.
        tell: takes a `RouteLeft` when a route gives way to the next.
    """

    def __init__(self, plan: LoadPlan, tell: Callable[[RouteLeft], None]) -> None:
        self._plan = plan
        self._tell = tell
        self._asking = False
        self._origins: dict[str, tuple[str, Route]] = {}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """tensorflow_hub asks this resolver first inside the `with`, from its import on."""
        added: list[Any] = []

        def add() -> None:
            registry = sys.modules["tensorflow_hub.registry"]
            registry.resolver.add_implementation(self)
            added.append(registry.resolver)

        hook = ImportHook("tensorflow_hub", around=pkg_resources_stand_in, then=add)
        hook.install()
        try:
            yield
        finally:
            hook.uninstall()
            for registered in added:
                registered._impls.remove(self)  # noqa: SLF001 - the library knows no way to take one back

    def is_supported(self, handle: str) -> bool:
        """Whether the routes make a difference to this handle: a URL, and not asked by ourselves."""
        return not self._asking and str(handle).startswith(("http://", "https://"))

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

        self._asking = True
        try:
            with variables_set({CACHE_VARIABLE: cache, MODE_VARIABLE: mode}):
                path: str = registry.resolver(handle)
        finally:
            self._asking = False
        return path
