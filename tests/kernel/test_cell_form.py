"""`%%hub_tpu` must behave as a plain cell does, in everything but what it adds."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from kernel import Cell, Kernel
from repository import REPOSITORY

pytestmark = pytest.mark.kernel

# Told by a variable that is set only while a plan is in force.
IN_FORCE = '__import__("os").environ.get("TFHUB_CACHE_DIR")'


@pytest.fixture
def loaded(kernel: Kernel) -> Kernel:
    kernel.ok("%load_ext hub_magic")
    return kernel


def shown(cell: Cell, *, line: int | None = None) -> list[tuple[str, str]]:
    """What a cell shows, without our line, colours and the cell's number."""
    found = []
    for message in cell.messages:
        content = message["content"]
        if message["msg_type"] == "stream":
            text = re.sub(r"%%hub_tpu: .*\n", "", content["text"])
            found.append((content["name"], re.sub(r"[\d.e+]+ \S?s\b", "TIME", text)))
        elif message["msg_type"] == "execute_result":
            found.append(("result", content["data"]["text/plain"]))
        elif message["msg_type"] == "error":
            found.append(("error", re.sub(r"\(.*?, ", "(", f"{content['ename']}: {content['evalue']}")))
    return [one for one in found if one[1]]


@pytest.mark.parametrize(
    "body",
    [
        "1 + 1",
        "1 + 1;",
        "x = 5\nprint(x)\nx",
        "import asyncio\nawait asyncio.sleep(0)\n'awaited'",
        "!echo from the shell",
        "files = !echo one two\nfiles",
        "%pwd\n'after a line magic'",
        "raise ValueError('mine')",
        "def broken(:\n    pass",
        "1/0",
        "import sys; sys.exit('left')",
        "for i in range(2):\n    print(i)\n\n    print('blank line above')",
        "%%capture out\nprint('hidden')",
        "\n%%time\nprint('timed')",
        "",
        "# only a comment",
        "get_ipython().run_cell('y = 7')\ny",
    ],
)
def test_cell_magic_behaves_like_the_plain_cell(loaded: Kernel, body: str) -> None:
    loaded.run(f"#\n{body}")  # some warnings are shown once
    plain = loaded.run(body if body.startswith(("%%", "\n")) else f"#\n{body}")
    ours = loaded.run(f"%%hub_tpu\n{body}")
    assert ours.status == plain.status
    assert shown(ours) == shown(plain)
    assert loaded.value(IN_FORCE) is None


def test_one_line_says_that_nothing_is_needed(loaded: Kernel) -> None:
    assert (
        loaded.ok("%%hub_tpu\npass").stdout
        == "%%hub_tpu: there is no accelerator, so the cell runs as it is.\n"
    )


def test_the_plan_is_in_force_only_in_the_cell(loaded: Kernel) -> None:
    inside = loaded.ok(f"%%hub_tpu\n{IN_FORCE}")
    assert inside.text == repr(str(loaded.home / "tmp" / "tfhub_modules"))
    assert loaded.value(IN_FORCE) is None


@pytest.mark.parametrize("body", ["1/0", "def broken(:", "import sys; sys.exit()", "raise KeyboardInterrupt"])
def test_failing_cell_ends_the_plan(loaded: Kernel, body: str) -> None:
    cell = loaded.run(f"%%hub_tpu\n{body}")
    assert cell.status == "error"
    assert len(cell.errors) == 1
    assert loaded.value(IN_FORCE) is None


def test_traceback_has_the_lines_of_the_cell(loaded: Kernel) -> None:
    cell = loaded.run("%%hub_tpu --via auto\nx = 1\n\n1/0")
    traceback = re.sub(r"\x1b\[[\d;]*m", "", cell.error)
    assert re.search(r"-+>\s*4\s+1\s*/\s*0", traceback)


def test_interrupt_ends_the_plan(loaded: Kernel) -> None:
    message = loaded.begin("%%hub_tpu\nprint('begun', flush=True)\nimport time\ntime.sleep(200)")
    while True:
        seen = loaded.client.get_iopub_msg(timeout=60)
        if seen["msg_type"] == "stream" and "begun" in seen["content"]["text"]:
            break
    loaded.manager.signal_kernel(signal.SIGINT)
    while loaded.client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != message:
        pass
    assert loaded.value(IN_FORCE) is None


@pytest.mark.parametrize("above", ["%%time", "%%capture", "%%timeit -n 3 -r 2"])
def test_cell_magic_works_below_another_cell_magic(loaded: Kernel, above: str) -> None:
    loaded.ok(f"seen = []\ndef look(): seen.append({IN_FORCE})")
    loaded.ok(f"{above}\n%%hub_tpu\nlook()")
    assert set(loaded.value("seen")) == {str(loaded.home / "tmp" / "tfhub_modules")}
    assert loaded.value(IN_FORCE) is None


def test_a_cell_inside_the_cell_does_not_end_it(loaded: Kernel) -> None:
    inside = loaded.ok(f"%%hub_tpu\nget_ipython().run_cell('1');\nget_ipython().run_cell('');\n{IN_FORCE}")
    assert inside.text == repr(str(loaded.home / "tmp" / "tfhub_modules"))
    assert loaded.value(IN_FORCE) is None


def test_nested_hub_cell_restores_the_outer_plan(loaded: Kernel) -> None:
    loaded.ok("%hub_cache ./outside")
    inside = loaded.ok(
        "%%hub_tpu --bucket gs://outer\n"
        f"get_ipython().run_cell('%%hub_tpu --bucket gs://inner\\ninner = {IN_FORCE}')\n"
        f"(inner, {IN_FORCE})"
    )
    assert inside.text == "('gs://inner', 'gs://outer')"
    assert loaded.value(IN_FORCE) == str(loaded.home / "work" / "outside")


def test_silent_cell_ends_the_plan(loaded: Kernel) -> None:
    loaded.run("%%hub_tpu\nimport os; inside = os.environ['TFHUB_CACHE_DIR']", silent=True)
    assert loaded.value("inside") == str(loaded.home / "tmp" / "tfhub_modules")
    assert loaded.value(IN_FORCE) is None


def test_magic_called_by_a_program_ends_the_plan(loaded: Kernel) -> None:
    loaded.ok(f"get_ipython().run_cell_magic('hub_tpu', '', 'z = {IN_FORCE}')")
    assert loaded.value("z") == str(loaded.home / "tmp" / "tfhub_modules")
    cell = loaded.run("get_ipython().run_cell_magic('hub_tpu', '', '1/0')")
    assert [error["ename"] for error in cell.errors] == ["ZeroDivisionError"]
    assert loaded.value(IN_FORCE) is None


def test_many_cells_keep_no_state(loaded: Kernel) -> None:
    size = "(len(get_ipython().events.callbacks['post_run_cell']), len(get_ipython().input_transformers_cleanup))"
    before = loaded.value(size)
    for _ in range(200):
        loaded.ok("%%hub_tpu\npass")
    assert loaded.value(size) == before
    assert loaded.value("len(get_ipython().magics_manager.registry['HubMagics'].cells._open)") == 0


def test_terminal_waits_for_the_cell_body(loaded: Kernel) -> None:
    loaded.client.is_complete("%%hub_tpu")
    assert loaded.client.get_shell_msg(timeout=60)["content"]["status"] == "incomplete"


def test_terminal_ipython_prints_text_and_runs_the_cell_form(tmp_path: Path) -> None:
    """Plain text, and the cell form fed line by line, in IPython without a kernel."""
    import os
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--quick", "--colors=NoColor", "--simple-prompt"],
        input="%load_ext hub_magic\n%hub_mode\n%%hub_tpu\nx = 6 * 7\nx\n\n\nexit\n",
        env={**os.environ, "IPYTHONDIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "compressed: archives are downloaded once" in done.stdout
    assert "so the cell runs as it is." in done.stdout
    assert "42" in done.stdout
