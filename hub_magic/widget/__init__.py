"""The cache browser: the view that `%hub_cache` shows in a notebook, and the object behind it."""

from .browser import CacheBrowser

__all__ = ["CacheBrowser"]
