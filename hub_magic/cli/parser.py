"""The commands of `hub-magic`: each is one option of `%hub_cache`, written as a verb."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass

from ..commands import options
from ..commands.options import Option, option


@dataclass(frozen=True)
class Command:
    """A command; `cli.main` has its function.

    Attributes:
        name: the word on the command line.
        verb: the option of the magic that it stands for; the option describes the command, and the option's
            value is the command's words.
        modifiers: the further options of the command.
    """

    name: str
    verb: Option
    modifiers: tuple[Option, ...]

    @property
    def arguments(self) -> tuple[Option, ...]:
        """All arguments of the command, its words first."""
        return (*self._words, *self.modifiers)

    @property
    def _words(self) -> tuple[Option, ...]:
        settings = self.verb.settings
        if settings.get("action") == "store_true":
            return ()
        kept = {name: settings[name] for name in ("nargs", "metavar", "type") if name in settings}
        return (option(self.verb.key, **kept, help=""),)


JSON = option("--json", action="store_true", help="print the result as JSON")
CACHE = option("--cache", metavar="LOCATION", help="use this cache instead of the configured one")
QUIET = option("-q", "--quiet", action="store_true", help="print only the handles of the models, for pipes")
YES = option("-y", "--yes", action="store_true", help="do not ask before models are deleted")
# A person at a terminal is asked before these delete models.
ASKING = frozenset({"remove", "prune", "repair"})
# Commands without a magic.
FOR_SHELL = {
    "where": "print where models are cached",
    "size": "print how many bytes the cached models take",
}
# The options of `hub_magic.host` are described there.
SERVE = option(
    "serve", nargs="...", metavar="DIRECTORY ...", help="serve a folder of models; see serve --help"
)
DOCTOR = option(
    "doctor",
    action="store_true",
    help="check for common problems, and print a fix for each",
)

COMMANDS = (
    Command("list", options.LIST, (options.ALL,)),
    Command("fetch", options.FETCH, (options.FORCE, options.TIMEOUT)),
    Command("resolve", options.RESOLVE, ()),
    Command("remove", options.REMOVE, (options.DRY_RUN,)),
    Command(
        "prune",
        options.PRUNE,
        (
            options.MAX_SIZE,
            options.OLDER_THAN,
            options.DUPLICATES,
            options.KEEP,
            options.KEEP_NEWEST,
            options.DRY_RUN,
        ),
    ),
    Command("verify", options.VERIFY, (options.DEEP,)),
    Command("repair", options.REPAIR, (options.DEEP, options.DRY_RUN)),
    Command("add", options.ADD, (options.ALL,)),
    Command("export", options.EXPORT, (options.ALL,)),
    Command("copy", options.COPY_TO, (options.DRY_RUN,)),
    Command("mode", options.MODE, (options.LEGACY_KERAS,)),
    Command("doctor", DOCTOR, (options.ONLINE, options.REPORT)),
)


def arguments_of(command: Command) -> tuple[Option, ...]:
    """Return all arguments of a command, those that a shell alone has last."""
    return (*command.arguments, CACHE, JSON, QUIET, *((YES,) if command.name in ASKING else ()))


def make_parser(version: str = "") -> ArgumentParser:
    """Return the parser of the command line; the parsed `command` is the command's name.

    Args:
        version: what `--version` prints.
    """
    parser = ArgumentParser(
        prog="hub-magic",
        description="Take care of the models that TensorFlow Hub has cached.",
        epilog="Exit status: 0 success; 1 partial success, or problems found (see the output); "
        "2 failure, explained in one line.",
    )
    parser.add_argument("--version", action="version", version=f"hub-magic {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        words = command.verb.settings["help"]
        inner = commands.add_parser(command.name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        _take(inner, arguments_of(command))
    for name, words in FOR_SHELL.items():
        inner = commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        _take(inner, (CACHE, JSON))
    serve = commands.add_parser("serve", help=SERVE.settings["help"], add_help=False)
    _take(serve, (SERVE,))
    completion = commands.add_parser("completion", help="print the completion script for this shell")
    completion.add_argument("shell", choices=("bash", "zsh"))
    return parser


def _take(parser: ArgumentParser, arguments: Sequence[Option]) -> None:
    for argument in arguments:
        parser.add_argument(*argument.names, **argument.settings)
