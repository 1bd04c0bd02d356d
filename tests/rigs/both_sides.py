"""A script run by tensorflow_hub alone, and with the extension loaded, each in a fresh process with TensorFlow.

The script finds `hub` imported; with the extension, `shell` is the IPython shell that has it. What it prints
with `answer(...)`, as JSON, is what the process gives.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fork_server import TENSORFLOW, run_python
from repository import process_environment

_PLAIN = """
import json, sys
from hub_magic.import_hooks import pkg_resources_stand_in
shell = None
def answer(value):
    print("ANSWER " + json.dumps(value), flush=True)
def outcome(act):
    try:
        return act()
    except Exception as error:
        return f"{type(error).__mro__[-3].__name__}: {error}"
"""
_IMPORT = """
with pkg_resources_stand_in():
    import tensorflow_hub as hub
"""
_EXTENSION = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "hub_magic")
"""


@dataclass(frozen=True)
class Told:
    """What a process gave.

    Attributes:
        answers: what the script gave to `answer`.
        lines: what hub_magic told the user, a line each.
    """

    answers: list[Any]
    lines: list[str]


def run_side(
    script: str, *args: str, with_extension: bool, is_imported_first: bool = False, **variables: str
) -> Told:
    """Run a script on one side.

    Args:
        script: Python, with `hub`, `shell`, `answer` and `outcome`, which gives an error as text.
        args: its `sys.argv[1:]`.
        with_extension: whether the extension is loaded.
        is_imported_first: whether tensorflow_hub is imported before the extension is loaded.
        variables: added to the environment.
    """
    parts = [_EXTENSION if with_extension else "", _IMPORT]
    code = _PLAIN + "".join(reversed(parts) if is_imported_first else parts) + script
    done = run_python(
        "-c", code, *args, imports=TENSORFLOW, env=process_environment(**variables), timeout=120
    )
    assert done.returncode == 0, done.stderr
    answers = [
        json.loads(line.removeprefix("ANSWER "))
        for line in done.stdout.splitlines()
        if line.startswith("ANSWER ")
    ]
    lines = [line for line in done.stderr.splitlines() if "cached copy" in line]
    return Told(answers, lines)
