"""`hub-magic`: the care of the cache from a shell or cron."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import HubMagicError
from ..facts import Fact
from ..locations import read_location
from ..render import text_of
from ..settings import CACHE_VARIABLE, correct_environment
from .parser import COMMANDS, make_parser
from .process import OutputError, TerminatedError, ended_by_signals, write_error, write_out

_AS_COMMANDS = {command.verb.names[0]: f"hub-magic {command.name}" for command in COMMANDS} | {
    "--help": "hub-magic --help"
}


def for_shell(text: str) -> str:
    """Return a message with magics rewritten as shell commands; magics without a command stay."""
    text = re.sub(r"%hub_cache (--[a-z-]+)", lambda found: _AS_COMMANDS.get(found[1], found[0]), text)
    text = re.sub(r"%hub_mode ([a-z]+)", r'eval "$(hub-magic mode \1)"', text)
    return text.replace("%hub_cache LOCATION", "--cache LOCATION")


# Attributes of results that list failures.
_SHORTFALLS = ("damaged", "kept", "left", "failed")


def main(words: Sequence[str] | None = None) -> int:
    """Run a command, and return the exit status."""
    try:
        with ended_by_signals():
            return _main(words)
    except OutputError as error:
        write_error(f"hub-magic: cannot write to the standard output: {error}")
        return 2
    except TerminatedError as error:
        write_error("hub-magic: terminated")
        return error.status
    except KeyboardInterrupt:
        write_error("hub-magic: interrupted")
        return 130


def _main(words: Sequence[str] | None) -> int:
    words = sys.argv[1:] if words is None else list(words)
    if words[:1] == ["serve"]:  # `serve` describes its own options
        from ..host.__main__ import main as serve

        return serve(words[1:])
    if words[:1] == ["complete"]:
        from .completion import print_candidates

        return print_candidates(words[1:])
    parser = make_parser(sys.modules[__name__.partition(".")[0]].__version__)
    if not words:
        write_out(parser.format_help())
        parser.error("give a command")
    try:
        arguments = parser.parse_args(words)
    except SystemExit:
        write_out("")  # flushes the output of argparse
        raise
    except OSError as error:  # argparse of Python 3.10 does not catch what its own printing raises
        raise OutputError(error.strerror or str(error)) from error
    arguments.words = words
    if arguments.command == "completion":
        from .completion import SCRIPTS

        write_out(SCRIPTS[arguments.shell])
        return 0
    return _show(arguments)


def _show(arguments: Namespace) -> int:
    """Run a parsed command, print its result, and return the exit status."""
    from .terminal import DeclinedError, ids_of

    try:
        result = _run(arguments)
    except DeclinedError:
        sys.stderr.write("hub-magic: nothing was deleted\n")
        return 1
    except HubMagicError as error:
        write_error(f"hub-magic: {for_shell(str(error))}")
        return 2
    if getattr(arguments, "quiet", False) and not arguments.json:
        write_out("".join(f"{one}\n" for one in ids_of(result)))
    else:
        write_out(f"{_as_json(result) if arguments.json else for_shell(text_of(result))}\n")
    if arguments.command == "mode" and hasattr(result, "lines") and sys.stdout.isatty():
        words = " ".join(arguments.words)
        sys.stderr.write(f'hub-magic: the shell runs these lines with: eval "$(hub-magic {words})"\n')
    status = _status(result)
    if status == 2:
        sys.stderr.write("hub-magic: none of the models could be fetched; the table says why\n")
    return status


def _run(arguments: Namespace) -> Any:
    if arguments.command != "doctor":  # the doctor checks what other programs will find
        correct_environment()
    if arguments.cache:
        os.environ[CACHE_VARIABLE] = read_location(arguments.cache, os.environ)

    is_sure = getattr(arguments, "yes", False)
    is_quiet = arguments.json or getattr(arguments, "quiet", False)

    def show(fact: Fact) -> None:
        if not is_quiet:
            write_out(f"{for_shell(text_of(fact))}\n\n")
        if not is_sure:
            from .terminal import ask

            ask(fact)

    return _run_command(arguments, show)


def _run_command(arguments: Namespace, show: Callable[[Fact], object]) -> Any:  # noqa: C901, PLR0911, PLR0912 - one case each
    """Run a command. Imports are made here, which neither completion nor help waits for."""
    from ..commands import transfer, verbs
    from ..commands.line import CacheLine, DoctorLine, ModeLine
    from .shell import examine, measure, show_mode

    line = CacheLine.read(arguments)
    match arguments.command:
        case "list":
            return verbs.list_models(sources=line.list or (), everything=line.all)
        case "fetch":
            return verbs.fetch(line.fetch or (), force=line.force, timeout=line.timeout)
        case "resolve":
            return verbs.resolve(line.resolve or "")
        case "remove":
            return verbs.remove(line.remove or (), show, dry_run=line.dry_run)
        case "prune":
            return verbs.prune(line, show)
        case "verify":
            return verbs.verify_models(line.verify or (), deep=line.deep)
        case "repair":
            plan = verbs.repair(line.repair or (), deep=line.deep, dry_run=True)
            return plan if line.dry_run else _carry_out(plan, is_sure=arguments.yes)
        case "add":
            return transfer.add(line.add or (), everything=line.all)
        case "export":
            return transfer.export(line.export or (), everything=line.all)
        case "copy":
            return verbs.copy_to(line.copy_to or "", show, dry_run=line.dry_run)
        case "where":
            return verbs.location()
        case "size":
            return measure(verbs.location())
        case "mode":
            return show_mode(ModeLine.read(arguments))
        case _:
            return examine(DoctorLine.read(arguments), arguments.cache or "")


def _carry_out(plan: Any, *, is_sure: bool) -> Any:
    """Carry out a repair, unless a person at the terminal declines."""
    if not is_sure:
        from .terminal import ask

        ask(plan)
    return plan.execute()


def _as_json(result: Any) -> str:
    return str(result.to_json()) if hasattr(result, "to_json") else json.dumps(result)


def _status(result: Any) -> int:
    """Return 1 if a result has failures, 2 if nothing was fetched, else 0; a plan has none."""
    if isinstance(result, tuple) and (failed := getattr(result, "failed", ())):
        return 1 if result and failed else 2
    if not hasattr(result, "to_data") or hasattr(result, "execute"):
        return 0
    if hasattr(result, "findings"):
        return int(bool(result.problems))
    wrong = any(getattr(result, name, ()) for name in _SHORTFALLS)
    problems = getattr(result, "problems", ()) if hasattr(result, "checked") else ()
    return int(wrong or any(problem.kind != "no descriptor" for problem in problems))
