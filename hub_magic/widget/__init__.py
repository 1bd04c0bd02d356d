"""The cache browser: what `%hub_cache` shows in a notebook, and the object behind it."""

from .browser import CacheBrowser

__all__ = ["CacheBrowser"]
