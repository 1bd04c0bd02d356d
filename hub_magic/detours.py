"""Detours: functions of another library that run our code, and stay the objects that they were.

A function that is replaced in its module can no longer be pickled by whoever imported it before, and goes on
without us under that name. So the function keeps its identity, name, signature and defaults, and only its
code is exchanged.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

# Calls a function's own code, and may do something before and after: `around(own, *arguments)`.
Around = Callable[..., Any]


class Detour:
    """A function that runs our code.

    Args:
        function: the function.

    Attributes:
        own: a function that runs the code that was found.
        arounds: who is called instead; the first one calls the next.
    """

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self._own_code = function.__code__
        self.own = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__
        )
        self.arounds: list[Around] = []
        self._code = _code_for(function, len(_DETOURS))

    def set_out(self) -> None:
        """Exchange the code."""
        if self.function.__code__ is self._own_code:
            self.function.__code__ = self._code

    def take_back(self) -> None:
        """Give the function its own code again."""
        if self.function.__code__ is self._code:
            self.function.__code__ = self._own_code

    def __call__(self, *arguments: Any) -> Any:
        """Call the function as it is now: through every around."""
        return self._call(tuple(self.arounds), arguments)

    def _call(self, arounds: tuple[Around, ...], arguments: tuple[Any, ...]) -> Any:
        if not arounds:
            return self.own(*arguments)
        return arounds[0](lambda *given: self._call(arounds[1:], given), *arguments)


# All that were ever made: a call may be under way in one that was taken back.
_DETOURS: list[Detour] = []


def add_detour(function: object, around: Around) -> None:
    """Have calls of a function go through `around` from now on; once, however often it is asked for.

    A function that is not of plain Python, has parameters of another kind than `name` or `name=default`, or
    refers to another function's variables, is left alone.
    """
    if not isinstance(function, FunctionType) or function.__closure__ or not _is_simple(function):
        return
    detour = next((one for one in _DETOURS if one.function is function), None)
    if detour is None:
        detour = Detour(function)
        _DETOURS.append(detour)
    if around not in detour.arounds:
        detour.arounds.append(around)
    detour.set_out()


def remove_detours(around: Around) -> None:
    """Have no call go through `around` any more."""
    for detour in _DETOURS:
        if around in detour.arounds:
            detour.arounds.remove(around)
            if not detour.arounds:
                detour.take_back()


def detour_of(number: int) -> Detour:
    """Return the detour with that number, for the code of its function."""
    return _DETOURS[number]


def _is_simple(function: FunctionType) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return all(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters)


def _code_for(function: FunctionType, number: int) -> CodeType:
    """Code with the function's parameters, which calls the detour."""
    names = ", ".join(inspect.signature(function).parameters)
    source = (
        f"def {function.__name__}({names}):\n"
        f"    from {__name__} import detour_of\n"
        f"    return detour_of({number})({names})\n"
    )
    made: dict[str, Any] = {}
    exec(source, made)  # noqa: S102 - of names that are a function's parameters
    code: CodeType = made[function.__name__].__code__
    # `inspect.getsource` goes on showing the function's own.
    own = function.__code__
    return code.replace(co_filename=own.co_filename, co_firstlineno=own.co_firstlineno)
