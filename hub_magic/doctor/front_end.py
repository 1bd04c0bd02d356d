"""Whether this front end can show the browser of the cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .finding import Finding
from .surroundings import Surroundings

_NAME = "widgets"
_REQUIRED = {"ipywidgets": (7, 7, 1), "anywidget": (0, 9)}
# Each package and its extension of JupyterLab, a folder below one of Jupyter's data folders.
_EXTENSIONS = {
    "jupyterlab-widgets": "@jupyter-widgets/jupyterlab-manager",
    "anywidget": "anywidget",
}
_FETCHING = {
    "colab": "Colab's page fetches the browser's part from the internet",
    "vscode": "VS Code fetches the browser's part from the internet, or from this machine",
    "kaggle": "Kaggle's editor fetches the browser's part from the internet",
}


def check_front_end(here: Surroundings) -> Iterator[Finding]:
    """The packages of widgets, and where JupyterLab may find their JavaScript."""
    if not here.fixes.in_notebook or here.runtime.host in {"terminal", "script"}:
        yield Finding(_NAME, "fine", "none in a terminal, where %hub_cache shows a table")
    else:
        yield _faulty_package(here) or _in_browser(here)


def _faulty_package(here: Surroundings) -> Finding | None:
    for package, oldest in _REQUIRED.items():
        version = here.version_of(package)
        if version is None or _numbers(version) < oldest:
            found = f"{package} {version} is too old" if version else f"{package} is not installed"
            wanted = f"{package}>={'.'.join(map(str, oldest))}"
            return Finding(_NAME, "problem", f"{found} for the browser", here.fixes.install(wanted))
    return None


def _in_browser(here: Surroundings) -> Finding:
    both = ", ".join(f"{package} {here.version_of(package)}" for package in _REQUIRED)
    if here.runtime.host in _FETCHING:
        return Finding(_NAME, "fine", f"{both}; {_FETCHING[here.runtime.host]}")
    missing = [package for package, folder in _EXTENSIONS.items() if not _has_extension(here, folder)]
    if not missing:
        return Finding(_NAME, "fine", f"{both}, with their extensions of JupyterLab")
    if here.version_of("jupyterlab") is None and here.version_of("notebook") is None:
        where = "the server runs in another environment, which needs jupyterlab-widgets and anywidget, too"
        return Finding(_NAME, "unknown", f"{both}; {where}")
    found = f"{both}; JupyterLab lacks the extension of {' and '.join(missing)}"
    fix = here.fixes.install("--force-reinstall", "--no-deps", *missing)
    return Finding(_NAME, "problem", f"{found}. Restart its server after the fix", fix)


def _has_extension(here: Surroundings, folder: str) -> bool:
    """Whether one of Jupyter's data folders, as `jupyter --paths` gives them, holds it."""
    named = [path for path in here.env.get("JUPYTER_PATH", "").split(os.pathsep) if path]
    home = here.env.get("JUPYTER_DATA_DIR") or os.path.expanduser("~/.local/share/jupyter")  # noqa: PTH111
    usual = (home, f"{sys.prefix}/share/jupyter", "/usr/local/share/jupyter", "/usr/share/jupyter")
    places = (Path(root, "labextensions", folder, "package.json") for root in (*named, *usual))
    return any(map(os.path.isfile, places))  # Path's own raises where it may not look


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
