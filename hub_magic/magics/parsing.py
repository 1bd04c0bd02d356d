"""From a magic's line to its arguments."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from ..commands.options import Option
from ..errors import SettingError

Magic = Callable[..., Any]


def takes(*options: Option) -> Callable[[Magic], Magic]:
    """Give a magic these arguments, in this order; its help is made from them."""

    def decorate(magic: Magic) -> Magic:
        for option in reversed(options):
            magic = argument(*option.names, **option.settings)(magic)
        decorated: Magic = magic_arguments()(magic)
        return decorated

    return decorate


def parse(magic: Magic, line: str) -> Namespace:
    """The arguments on a magic's line.

    Raises:
        UsageError: argparse does not understand them.
        SettingError: a quotation mark is left open.
    """
    try:
        arguments: Namespace = parse_argstring(magic, line)
    except ValueError as error:  # from shlex, which argparse's own errors are not
        raise SettingError(
            f"{line!r} cannot be split into arguments: {error}. Close the quotation mark."
        ) from error
    return arguments


def check_keeping(arguments: Namespace) -> None:
    """Make sure that what is said of keeping a setting makes sense.

    Raises:
        SettingError: it is to be kept and forgotten, or to be loaded at every start and not kept.
    """
    if arguments.forget and arguments.persist:
        raise SettingError("--persist and --forget are two things. Do one after the other.")
    if arguments.autoload and not arguments.persist:
        raise SettingError("--autoload says how to --persist. Give that as well.")
