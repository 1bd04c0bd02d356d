"""What is in a cache, and the care of it."""

from .entry import CachedModel, measure
from .scan import CacheScan, Problem, list_cache, scan_cache

__all__ = ["CacheScan", "CachedModel", "Problem", "list_cache", "measure", "scan_cache"]
