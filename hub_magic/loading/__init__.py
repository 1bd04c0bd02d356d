"""How a model gets to the worker that runs it."""

from .plan import ROUTES, LoadPlan, ModelLoaded, Route, RouteLeft, RouteReason, choose_mode, plan_load
from .session import LoadSession, loading_for

__all__ = [
    "ROUTES",
    "LoadPlan",
    "LoadSession",
    "ModelLoaded",
    "Route",
    "RouteLeft",
    "RouteReason",
    "choose_mode",
    "loading_for",
    "plan_load",
]
