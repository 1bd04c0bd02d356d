"""Values that hold in one thread and in those that it starts meanwhile, so that no other cell sees them.

Cells run in several threads at once (subshells), and start threads of their own. A plain thread does not
inherit context variables, so `Thread.start` and `ThreadPoolExecutor.submit` hand on those that are held here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Shared:
    """A context that several threads are in at once: entered by the first of them, left by the last.

    Args:
        make: makes the context.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[object]]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._count = 0
        self._stack = ExitStack()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the context inside the `with`."""
        with self._lock:
            if not self._count:
                self._stack.enter_context(self._make())
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                if not self._count:
                    self._stack.close()


@dataclass(slots=True)
class _Held(Generic[Value]):
    value: Value
    outer: _Held[Value] | None
    is_open: bool = True


class CellValue(Generic[Value]):
    """A value that is held from `with` to `with`.

    Args:
        name: for whoever debugs it.
    """

    def __init__(self, name: str) -> None:
        self._held: ContextVar[_Held[Value] | None] = ContextVar(name, default=None)
        _ALL.append(self)

    def get(self) -> Value | None:
        """Return the value held here; None when there is none.

        A thread that outlives the `with` it was started in has none any more.
        """
        held = self._held.get()
        while held is not None and not held.is_open:
            held = held.outer
        return held.value if held else None

    @contextmanager
    def hold(self, value: Value) -> Iterator[None]:
        """Hold a value inside the `with`, here and in the threads that are started meanwhile."""
        held = _Held(value, self._held.get())
        with _HANDING_ON.entered():
            self._held.set(held)
            try:
                yield
            finally:
                held.is_open = False
                # The end of a cell may come in another context than its beginning.
                if self._held.get() is held:
                    self._held.set(held.outer)

    def snapshot(self) -> Callable[[], AbstractContextManager[None]] | None:
        """Return a context in which what is held here is held elsewhere; None when nothing is."""
        held = self._held.get()
        if held is None or self.get() is None:
            return None

        @contextmanager
        def taken_over() -> Iterator[None]:
            before = self._held.get()
            self._held.set(held)
            try:
                yield
            finally:
                self._held.set(before)

        return taken_over


_ALL: list[CellValue[Any]] = []


def _with_values(act: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function with the values that are held here; None when none are."""
    contexts = [found for one in _ALL if (found := one.snapshot())]
    if not contexts:
        return None

    def run(*arguments: Any, **options: Any) -> Any:
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context())
            return act(*arguments, **options)

    return run


@contextmanager
def _handing_on() -> Iterator[None]:
    from concurrent.futures import ThreadPoolExecutor

    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_with_values(thread: threading.Thread) -> None:
        run = _with_values(thread.run)
        if run is None:
            start(thread)
            return

        def run_once() -> None:
            with suppress(AttributeError):
                del thread.run  # a thread keeps nothing of a cell that has ended
            run()

        thread.run = run_once  # type: ignore[method-assign]
        start(thread)

    def submit_with_values(pool: ThreadPoolExecutor, act: Any, /, *arguments: Any, **options: Any) -> Any:
        return submit(pool, _with_values(act) or act, *arguments, **options)

    threading.Thread.start = start_with_values  # type: ignore[method-assign,assignment]
    ThreadPoolExecutor.submit = submit_with_values  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        if threading.Thread.start is start_with_values:
            threading.Thread.start = start  # type: ignore[method-assign]
        if ThreadPoolExecutor.submit is submit_with_values:
            ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]


_HANDING_ON = Shared(_handing_on)
