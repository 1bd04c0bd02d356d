"""How a model gets to the worker that runs it."""

from .mode import choose_mode
from .plan import ROUTES, LoadPlan, Route, RouteReason, plan_load
from .session import loading_for

__all__ = ["ROUTES", "LoadPlan", "Route", "RouteReason", "choose_mode", "loading_for", "plan_load"]
