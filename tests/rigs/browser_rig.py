"""A real browser, driving a real JupyterLab with a real kernel.

No request reaches the internet: requests of the pages to other hosts are refused and recorded.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from repository import REPOSITORY, RIGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Locator, Page, Playwright, Route
    from typing_extensions import Self

SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TIMEOUT = 120_000  # milliseconds
OPEN = "%load_ext hub_magic"
BROWSE = "browser = %hub_cache\nbrowser"
NUMBERS = itertools.count(1)


def launch(playwright: Playwright) -> Browser:
    """Return Debian's Chromium, or the one of playwright."""
    path = shutil.which("chromium") or playwright.chromium.executable_path
    if not Path(path).exists():
        missing = (
            "Chromium is not installed. Run `apt-get install chromium`, or `playwright install chromium`."
        )
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return playwright.chromium.launch(executable_path=path, args=SWITCHES)


class Lab:
    """A JupyterLab server with a home of its own.

    Args:
        home: the folder of its settings, its notebooks and its kernels' profiles.
        theme: "Light" or "Dark".
    """

    module = "jupyterlab"
    ready = "/lab"  # the path in its message once it listens
    # Each page needs its own workspace, because a workspace remembers what is open.
    page = "lab/workspaces/{workspace}/tree/{name}?reset"
    can_turn = True  # whether the same page can open another notebook
    running: ClassVar[list[Lab]] = []

    def __init__(self, home: Path, theme: str = "Light") -> None:
        self.home = home
        self.notebooks = home / "notebooks"
        self.notebooks.mkdir(parents=True)
        folders = ("config", "data", "runtime", "ipython", "settings", "workspaces", "tmp")
        config, data, runtime, ipython, self.settings, workspaces, tmp = (home / name for name in folders)
        tmp.mkdir()
        self.set_theme(theme)
        # No news, no dialogs, no check for updates.
        self._set("notification", {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True})
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.command = [
            *(sys.executable, str(RIGS / "browser_server.py"), self.module),
            *("--allow-root", "--no-browser", "--expose-app-in-browser"),
            *(f"--port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
            *(f"--ServerApp.root_dir={self.notebooks}", "--IdentityProvider.token=", "--ServerApp.password="),
        ]
        self.env = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(config),
            "JUPYTER_DATA_DIR": str(data),
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "JUPYTERLAB_SETTINGS_DIR": str(self.settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(workspaces),
            "IPYTHONDIR": str(ipython),
            "TMPDIR": str(tmp),
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }

    def set_theme(self, theme: str) -> None:
        """Set the theme of pages that are opened from now on."""
        self._set("themes", {"theme": f"JupyterLab {theme}"})

    def _set(self, name: str, values: dict[str, Any]) -> None:
        path = self.settings / "@jupyterlab" / "apputils-extension" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.said: list[str] = []
        for line in self.process.stderr:
            self.said.append(line)
            if f"{self.url}{self.ready}" in line:
                break
        else:
            raise AssertionError(f"{self.module} has not started:\n{self.log}")
        # Keep reading the log, or the server waits for the reader.
        self.reader = threading.Thread(target=self.said.extend, args=(self.process.stderr,))
        self.reader.start()
        self.running.append(self)
        return self

    @property
    def log(self) -> str:
        """Return the server's log so far."""
        return "".join(self.said)

    def stacks(self) -> None:
        """Make the server write the stacks of its threads to its log."""
        before = len(self.said)
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while "(most recent call first)" not in "".join(self.said[before:]) and time.monotonic() < deadline:
            self.reader.join(0.1)

    def __exit__(self, *_: object) -> None:
        self.running.remove(self)
        self.process.terminate()
        self.process.wait()
        self.reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def write(self, name: str, *cells: str | dict[str, Any]) -> str:
        """Write a notebook with these cells and return its name; a cell may come with its outputs."""
        made = [cell if isinstance(cell, dict) else code_cell(cell) for cell in cells]
        facts = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        content = {"nbformat": 4, "nbformat_minor": 4, "metadata": facts, "cells": made}
        (self.notebooks / name).write_text(json.dumps(content))
        return name

    def read(self, name: str) -> dict[str, Any]:
        """Return a saved notebook."""
        found: dict[str, Any] = json.loads((self.notebooks / name).read_text())
        return found


class Notebook7(Lab):
    """A Jupyter Notebook 7 server: JupyterLab's parts in another shell."""

    module = "notebook"
    ready = "/tree"
    page = "notebooks/{name}"
    can_turn = False


def code_cell(code: str, outputs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "source": code,
        "outputs": outputs or [],
    }


IS_READY = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
SESSION = "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.id"
OPEN_NEXT = """async ([name, theme]) => {
    const { commands } = window.jupyterapp;
    if (document.body.dataset.jpThemeName !== theme) await commands.execute('apputils:change-theme', { theme });
    await commands.execute('docmanager:open', { path: name });
}"""
# JupyterLab's commands act on the notebook that has the focus, and other events on the page may move the focus until
# no other notebook is left.
IS_ALONE = """name => {
    const { shell } = window.jupyterapp;
    const found = shell.widgets('main');
    const all = found[Symbol.iterator] ? [...found] : [];
    // JupyterLab 3 has an iterator of its own.
    if (!found[Symbol.iterator]) for (let one; (one = found.next()); ) all.push(one);
    const next = all.find((one) => one.context?.path === name);
    if (next?.sessionContext.session?.kernel?.status !== 'idle') return false;
    if (next !== shell.currentWidget) {
        shell.activateById(next.id);
        return false;
    }
    for (const one of all) if (one !== next) one.dispose();
    return true;
}"""


class NotebookPage:
    """A notebook open in JupyterLab.

    Attributes:
        view: the first cache browser on the page.
        foreign: the page's requests to other hosts; all were refused.
        dialogs: texts of dialogs that a script opened; all were dismissed.
        errors: uncaught errors of scripts on the page.
    """

    def __init__(self, lab: Lab, context: BrowserContext, name: str) -> None:
        self.lab = lab
        self.name = name
        self.foreign: list[str] = []
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        # A pattern, because a function would be called for each of the 100 requests of a page.
        self.page.route(re.compile(rf"^(?!{re.escape(lab.url)}/|data:|blob:)"), self._refuse)
        self.page.on("dialog", self._dismiss)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{lab.url}/{lab.page.format(name=name, workspace=f'page-{next(NUMBERS)}')}")
        self.page.wait_for_function(IS_READY)
        self.view: Locator = self.page.locator(".hub-magic").first

    def turn_to(self, name: str, theme: str = "Light") -> None:
        """End the notebook, and open another one on the same page: 1 s, where loading JupyterLab takes 4 s."""
        before = self.page.evaluate(SESSION)
        self.name = name
        self.page.evaluate(OPEN_NEXT, [name, f"JupyterLab {theme}"])
        is_light = str(theme == "Light").lower()
        self.page.wait_for_function("is => document.body.dataset.jpThemeLight === is", arg=is_light)
        self.page.wait_for_function(IS_ALONE, arg=name)
        # Only after that: JupyterLab's scripts may fail if an open notebook has lost its kernel.
        self.page.evaluate("id => id && window.jupyterapp.serviceManager.sessions.shutdown(id)", before)
        self.page.context.clear_permissions()
        for noted in (self.foreign, self.dialogs, self.errors):
            noted.clear()

    def _refuse(self, route: Route) -> None:
        self.foreign.append(route.request.url)
        route.abort()

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def command(self, name: str) -> None:
        """Run one of JupyterLab's commands."""
        self.page.evaluate("name => window.jupyterapp.commands.execute(name)", name)

    def run_all(self) -> None:
        """Run all cells, and wait for the cache browser."""
        self.command("notebook:run-all-cells")
        self.view.locator("tbody tr, .hm-empty:not([hidden])").first.wait_for()

    def measured(self, count: int) -> None:
        """Wait until the view reports that all its models are measured."""
        self.facts.filter(has_text=f"{count:,} model").filter(has_not_text="measuring").wait_for()

    @property
    def facts(self) -> Locator:
        return self.view.locator(".hm-head > .hm-muted")

    @property
    def status(self) -> Locator:
        return self.view.locator("[role=status]")

    def names(self) -> list[str]:
        """Return the names in the rows in view, from top to bottom, after pending changes are painted."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.view.locator("tbody tr td:first-child bdi").all_inner_texts()

    def chosen(self) -> list[str]:
        """Return the names of the selected rows."""
        names = self.names()
        rows = self.view.locator("tbody tr").all()
        return [
            name
            for name, row in zip(names, rows, strict=True)
            if row.get_attribute("aria-selected") == "true"
        ]

    def row(self, name: str) -> Locator:
        cell = self.page.get_by_text(name, exact=True)
        return self.view.locator("tbody tr").filter(has=cell)

    def button(self, name: str) -> Locator:
        return self.view.get_by_role("button", name=name, exact=True)

    def said(self, text: str) -> None:
        """Wait until the view announces a text."""
        self.status.filter(has_text=text).wait_for()

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the kernel, which must be a literal."""
        code = """async (code) => {
            const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
            const asked = { code: '', silent: true, user_expressions: { it: code } };
            const reply = await kernel.requestExecute(asked).done;
            return reply.content.user_expressions.it;
        }"""
        found = self.page.evaluate(code, f"__import__('json').dumps({expression})")
        assert found["status"] == "ok", found
        return json.loads(eval(found["data"]["text/plain"]))

    def selection(self, *names: str) -> None:
        """Wait until `browser.selection` in the kernel has these models; the page sends it with a delay."""
        deadline = time.monotonic() + 30
        while (found := self.value("[model.name for model in browser.selection]")) != list(names):
            assert time.monotonic() < deadline, f"{found} is selected, not {list(names)}"

    def close(self) -> None:
        """End the kernel, and the page."""
        self.end_kernel()
        self.page.close()

    def end_kernel(self) -> None:
        self.page.evaluate("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.shutdown()")


@contextmanager
def opened(lab: Lab, browser: Browser, name: str, **options: Any) -> Iterator[NotebookPage]:
    """Yield a notebook in a separate browser; the options are a context's, such as `viewport`."""
    context = browser.new_context(**{"viewport": {"width": 1400, "height": 1000}, **options})
    try:
        page = NotebookPage(lab, context, name)
        yield page
        page.close()
    finally:
        context.close()
