"""Candidates for the next word on a line: options, modes, cached handles. For IPython and for shells."""

from __future__ import annotations

from argparse import SUPPRESS
from collections.abc import Sequence

from ..errors import HubMagicError
from ..loading import ROUTES
from ..masking import mask_secrets
from ..settings import MODES
from ..store import list_cache, open_store
from .options import Option
from .verbs import location

_MODE, _ROUTE, _HANDLE = "mode", "ROUTE", "HANDLE"
_PATHS = frozenset({"LOCATION", "PATH", "FILE", "DIRECTORY", "HANDLE PATH", "HANDLE FILE", "location"})


def candidates(options: Sequence[Option], before: Sequence[str], word: str) -> tuple[list[str], bool]:
    """Return the candidates for a word, and whether paths are candidates too.

    Args:
        options: the options of the line.
        before: the words before the word, without the command.
        word: the beginning of the word; "" for a new word.
    """
    kinds = _kinds(options, before)
    flags = sorted(flag for flag in _flags(options) if flag not in before and flag.startswith(word))
    if word.startswith("-"):
        return flags, False
    values: list[str] = []
    if _MODE in kinds:
        values += MODES
    if _ROUTE in kinds:
        values += ["auto", *ROUTES]
    if _HANDLE in kinds:
        values += _handles()
    if "location" in kinds:
        values.append("default")
    found = [value for value in values if value.startswith(word)]
    # Flags are candidates only where no more words are required.
    return (found + flags if not word and not before else found), bool(kinds & _PATHS)


def _flags(options: Sequence[Option]) -> set[str]:
    shown = (one for one in options if one.settings.get("help") != SUPPRESS)
    return {flag for one in shown for flag in one.names if flag.startswith("--")}


def _kinds(options: Sequence[Option], before: Sequence[str]) -> set[str]:
    """Return the kinds of word expected: the values of the last option, or positional arguments."""
    by_flag = {flag: one for one in options for flag in one.names if flag.startswith("-")}
    given = next((index for index in reversed(range(len(before))) if before[index] in by_flag), None)
    if given is not None:
        taken = by_flag[before[given]]
        count = len(before) - given - 1
        if _takes(taken, count):
            return _sorts(taken, count)
    positional = [one for one in options if not one.names[0].startswith("-")]
    free = len(before) if given is None else 0
    return {sort for one in positional if _takes(one, free) for sort in _sorts(one, free)}


def _takes(option: Option, count: int) -> bool:
    """Return whether an option that has `count` words takes one more."""
    if option.settings.get("action") == "store_true":
        return False
    return option.settings.get("nargs") in {"+", "*", "..."} or count == 0


def _sorts(option: Option, count: int) -> set[str]:
    sort = str(option.settings.get("metavar") or option.names[0])
    if sort not in {"HANDLE PATH", "HANDLE FILE"}:
        return {sort}
    # `--add HANDLE PATH`, `--export HANDLE FILE`, or a directory with --all.
    return {_HANDLE, "PATH"} if count == 0 else {"PATH"}


def _handles() -> list[str]:
    """Return the handles of cached models. A bucket is not asked, so that completion stays fast."""
    try:
        here = location()
        models = () if open_store(here).is_remote else list_cache(here).models
    except HubMagicError:
        return []
    return [
        mask_secrets(model.handle)
        for model in models
        if model.handle.isprintable() and " " not in model.handle and model.handle
    ]
