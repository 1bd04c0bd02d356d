"""What is held for a cell is seen by its thread and the threads that it starts, and by no other."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from hub_magic import read_cache, set_cache
from hub_magic.cell_values import CellValue, Shared
from hub_magic.detours import add_detour, remove_detours
from hub_magic.settings import CACHE_VARIABLE, settings_held, variables_set

VALUE: CellValue[str] = CellValue("test")


def in_thread(act: Callable[[], Any]) -> Any:
    found = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    thread.join()
    return found[0]


def test_value_holds_in_the_threads_that_are_started_meanwhile() -> None:
    start = threading.Thread.start
    with VALUE.hold("cell"):
        assert VALUE.get() == "cell"
        assert in_thread(VALUE.get) == "cell"
        assert in_thread(lambda: in_thread(VALUE.get)) == "cell"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(VALUE.get).result() == "cell"
        assert asyncio.run(asyncio.to_thread(VALUE.get)) == "cell"
    assert VALUE.get() is None
    assert in_thread(VALUE.get) is None
    assert threading.Thread.start is start


def test_value_does_not_hold_in_the_threads_of_others() -> None:
    begun, ended, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        begun.wait()
        seen.append(VALUE.get())
        seen.append(in_thread(VALUE.get))
        ended.set()

    thread = threading.Thread(target=other)
    thread.start()
    with VALUE.hold("cell"):
        begun.set()
        assert ended.wait(10)
    thread.join()
    assert seen == [None, None]


def test_pool_from_before_uses_the_value_of_whoever_submits() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(VALUE.get).result() is None
        with VALUE.hold("cell"):
            assert pool.submit(VALUE.get).result() == "cell"
        assert pool.submit(VALUE.get).result() is None


def test_thread_that_outlives_the_cell_has_its_value_no_more() -> None:
    left, seen = threading.Event(), []

    def late() -> None:
        seen.append(VALUE.get())
        left.wait()
        seen.append(VALUE.get())

    with VALUE.hold("cell"):
        thread = threading.Thread(target=late)
        thread.start()
        while not seen:
            pass
    left.set()
    thread.join()
    assert seen == ["cell", None]


def test_value_ends_where_it_is_left_in_another_context() -> None:
    holding = VALUE.hold("cell")
    entered = copy_context()
    entered.run(holding.__enter__)
    assert entered.run(VALUE.get) == "cell"
    holding.__exit__(None, None, None)
    assert entered.run(VALUE.get) is None


def test_shared_context_is_left_by_the_last() -> None:
    log = []

    class Noted:
        def __enter__(self) -> None:
            log.append("in")

        def __exit__(self, *_: object) -> None:
            log.append("out")

    shared = Shared(Noted)
    first, second = shared.entered(), shared.entered()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert log == ["in"]
    second.__exit__(None, None, None)
    assert log == ["in", "out"]


@pytest.mark.parametrize("before", ["/everybodys", None])
def test_settings_held_are_read_by_no_other_thread(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    if before:
        monkeypatch.setenv(CACHE_VARIABLE, before)
    everybodys = read_cache().value
    begun, ended, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        begun.wait()
        seen.append(read_cache().value)
        set_cache("default" if before else "/tmp")
        seen.append(read_cache().value)
        ended.set()

    thread = threading.Thread(target=other)
    thread.start()
    with settings_held({CACHE_VARIABLE: "/cells"}):
        assert read_cache().value == in_thread(lambda: read_cache().value) == "/cells"
        assert os.environ[CACHE_VARIABLE] == "/cells", "for the processes that a cell starts"
        begun.set()
        assert ended.wait(10)
        assert read_cache().value == "/cells"
    thread.join()
    assert seen[0] == everybodys
    assert read_cache().value == seen[1] != everybodys


def test_variables_come_back_when_the_last_thread_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUB_MAGIC_TEST", raising=False)
    first, second = variables_set({"HUB_MAGIC_TEST": "1"}), variables_set({"HUB_MAGIC_TEST": "2"})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ["HUB_MAGIC_TEST"] == "2"
    second.__exit__(None, None, None)
    assert "HUB_MAGIC_TEST" not in os.environ


def subject(one: int, two: int = 2) -> int:
    """Add."""
    return one + two


def test_detours_nest_and_are_taken_back_in_any_order() -> None:
    def doubled(own: Callable[..., int], *arguments: int) -> int:
        return 2 * own(*arguments)

    def negative(own: Callable[..., int], *arguments: int) -> int:
        return -own(*arguments)

    code = subject.__code__
    add_detour(subject, doubled)
    add_detour(subject, doubled)
    add_detour(subject, negative)
    assert subject(1) == -6
    assert subject(two=5, one=1) == -12
    remove_detours(doubled)
    assert subject(1) == -3
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'one'"):
        subject()  # type: ignore[call-arg]
    remove_detours(negative)
    assert subject(1) == 3
    assert subject.__code__ is code


def test_function_that_cannot_have_a_detour_is_left_alone() -> None:
    width = 3

    def closed(one: int) -> int:
        return one * width

    def loose(*many: int) -> int:
        return len(many)

    for function in (closed, loose, len, None):
        add_detour(function, lambda own, *arguments: 0)
    assert (closed(2), loose(1, 2)) == (6, 2)
