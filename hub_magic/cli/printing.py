"""What the command prints: in a shell's words, and to whoever still listens."""

from __future__ import annotations

import os
import re
import sys

from .commands import COMMANDS

_AS_COMMANDS = {command.verb.names[0]: f"hub-magic {command.name}" for command in COMMANDS}


def for_shell(text: str) -> str:
    """A message with the magics that it names as a shell's user writes them; those without a command stay."""
    text = re.sub(r"%hub_cache (--[a-z-]+)", lambda found: _AS_COMMANDS.get(found[1], found[0]), text)
    text = re.sub(r"%hub_mode ([a-z]+)", r'eval "$(hub-magic mode \1)"', text)
    return text.replace("%hub_cache LOCATION", "--cache LOCATION")


def write_out(text: str) -> None:
    """Write to the standard output; a reader that has gone, as `head` does, ends neither work nor status."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
