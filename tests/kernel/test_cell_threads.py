"""Cells that run in several threads at once: each thread leaves what it entered, whoever is told of the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.events import EventManager, available_events
from kernel import Kernel

from hub_magic.magics.cell import CellContexts


class Subshell:
    """A thread that does what it is told, one thing after the other."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._asked = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._act: Callable[[], Any] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def do(self, act: Callable[[], Any]) -> None:
        self._act = act
        self._asked.release()
        assert self._done.acquire(timeout=10)

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            if self._act is None:
                return
            self._act()
            self._done.release()

    def stop(self) -> None:
        self._act = None
        self._asked.release()


class Rig:
    """The events of a shell, contexts for its cells, and a log of who entered and left."""

    def __init__(self) -> None:
        self.shell = SimpleNamespace()
        self.shell.events = EventManager(self.shell, available_events)
        self.contexts = CellContexts(self.shell)  # type: ignore[arg-type]
        self.contexts.install()
        self.log: list[tuple[str, str, int]] = []

    def begin(self, name: str, *, enter: bool = True) -> SimpleNamespace:
        info = SimpleNamespace(raw_cell=name)
        self.shell.events.trigger("pre_run_cell", info)
        if enter:
            self.contexts.enter(self._noted(name))
        return SimpleNamespace(info=info)

    def end(self, result: SimpleNamespace | None) -> None:
        self.shell.events.trigger("post_execute")
        self.shell.events.trigger("post_run_cell", result)

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        self.log.append(("in", name, threading.get_ident()))
        yield
        self.log.append(("out", name, threading.get_ident()))

    def left(self) -> list[str]:
        return [name for what, name, _ in self.log if what == "out"]


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def other() -> Iterator[Subshell]:
    subshell = Subshell()
    yield subshell
    subshell.stop()


def same_threads(rig: Rig) -> bool:
    entered = {name: thread for what, name, thread in rig.log if what == "in"}
    return all(entered[name] == thread for what, name, thread in rig.log if what == "out")


def test_cell_that_ends_leaves_no_other_threads_context(rig: Rig, other: Subshell) -> None:
    mine = rig.begin("mine")
    kept: list[Any] = []
    other.do(lambda: kept.append(rig.begin("theirs", enter=False)))
    other.do(lambda: rig.end(kept[0]))
    assert rig.left() == []
    rig.end(mine)
    assert rig.left() == ["mine"]
    assert same_threads(rig)


def test_end_that_is_told_in_the_wrong_thread_is_left_by_the_right_one(rig: Rig, other: Subshell) -> None:
    kept: list[Any] = []
    other.do(lambda: kept.append(rig.begin("theirs")))
    mine = rig.begin("mine")
    rig.end(kept[0])
    assert rig.left() == []
    rig.end(mine)
    assert rig.left() == ["mine"]
    other.do(lambda: kept.append(rig.begin("next", enter=False)))
    assert rig.left() == ["mine", "theirs"]
    assert same_threads(rig)


def test_nested_cells_leave_their_own_contexts(rig: Rig) -> None:
    outer = rig.begin("outer")
    inner = rig.begin("inner")
    rig.end(inner)
    assert rig.left() == ["inner"]
    rig.end(outer)
    assert rig.left() == ["inner", "outer"]


def test_cancelled_cell_leaves_its_context(rig: Rig) -> None:
    rig.begin("mine")
    rig.end(None)
    assert rig.left() == ["mine"]


def test_unloaded_in_one_thread_while_another_is_in_a_cell(rig: Rig, other: Subshell) -> None:
    kept: list[Any] = []
    other.do(lambda: kept.append(rig.begin("theirs")))
    mine = rig.begin("mine")
    rig.contexts.uninstall()
    assert rig.left() == ["mine"]
    rig.end(mine)
    other.do(lambda: rig.end(kept[0]))
    assert rig.left() == ["mine", "theirs"]
    assert same_threads(rig)
    assert not any(rig.shell.events.callbacks[event] for event in ("pre_run_cell", "post_run_cell"))


@pytest.mark.kernel
@pytest.mark.tensorflow
def test_cell_in_a_subshell_keeps_out_of_another_cells_scope(tensorflow_kernel: Kernel) -> None:
    """A whole cell runs in a subshell in the middle of a `%%hub_tpu` cell."""
    kernel = tensorflow_kernel
    kernel.ok("%load_ext hub_magic\nimport hub_magic, os, threading, time\nimport tensorflow as tf")
    if "kernel subshells" not in kernel.value(
        "get_ipython().kernel.kernel_info.get('supported_features', [])"
    ):
        pytest.skip("this ipykernel has no subshells")
    kernel.ok(
        "mine = tf.distribute.OneDeviceStrategy('/device:CPU:0')\n"
        "begun, ended = threading.Event(), threading.Event()\n"
        "def state(): return [tf.distribute.has_strategy(), hub_magic.read_cache().value]"
    )
    before = kernel.value("state()")
    asked = kernel.client.session.msg("create_subshell_request")
    kernel.client.control_channel.send(asked)
    subshell = kernel.client.get_control_msg(timeout=60)["content"]["subshell_id"]
    main = kernel.begin(
        "%%hub_tpu --strategy mine --bucket gs://bucket/cache --via localhost\n"
        "begun.set()\nwaited = ended.wait(60)\nmain = state()"
    )
    code = "begun.wait(60); other = state()"
    request = kernel.client.session.msg("execute_request", {"code": code, "silent": False})
    request["header"]["subshell_id"] = subshell
    kernel.client.shell_channel.send(request)
    last = kernel.client.session.msg("execute_request", {"code": "ended.set()", "silent": False})
    last["header"]["subshell_id"] = subshell
    kernel.client.shell_channel.send(last)
    answered = set()
    while main not in answered:
        answered.add(kernel.client.get_shell_msg(timeout=60)["parent_header"]["msg_id"])
    assert kernel.value("waited") is True
    assert kernel.value("main") == [True, "gs://bucket/cache"]
    assert kernel.value("other") == before
    assert kernel.value("state()") == before
