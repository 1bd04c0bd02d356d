"""The fixtures of the tests in a browser: one Chromium and one JupyterLab serve all files of a process."""

from browser_fixtures import axe, cache, chromium, notebook, page, windows

__all__ = ["axe", "cache", "chromium", "notebook", "page", "windows"]
