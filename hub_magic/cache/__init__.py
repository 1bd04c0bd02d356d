"""A cache in a directory: what is in it, and how it is laid out."""

from .entry import CachedModel, measure
from .scan import CacheScan, Problem

__all__ = ["CacheScan", "CachedModel", "Problem", "measure"]
