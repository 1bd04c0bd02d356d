"""The manual's reference, made from the descriptions of magics and commands.

mkdocs calls `on_files` while it builds (`hooks` in mkdocs.yml); the pages are never written to disk.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from argparse import SUPPRESS
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hub_magic
from hub_magic.cli.parser import COMMANDS, FOR_SHELL, make_parser
from hub_magic.commands.options import MAGICS, Option

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

_NUMBERS = {"+": "{0}...", "*": "[{0}...]", "?": "[{0}]", "...": "{0}"}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages to the handwritten ones."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> dict[str, str]:
    """Return the text of each page by its path."""
    return {
        "reference/magics.md": "\n\n".join(_magics()),
        "reference/commands.md": "\n\n".join(_commands()),
        "reference/python.md": "\n\n".join(_names(hub_magic)),
    }


def _magics() -> list[str]:
    from hub_magic.magics.hub import HubMagics

    parts = [
        "# The magics and their options",
        "What `%hub_cache?` and the others answer; this page is made from the same text.",
    ]
    for name, options in MAGICS.items():
        parser = getattr(HubMagics, name).parser
        usage = textwrap.fill(
            " ".join(parser.format_usage().removeprefix("::").split()),
            width=88,
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
        title = f"%{name} and %%{name}" if name in HubMagics.magics["cell"] else f"%{name}"
        parts += [
            f"## {title}",
            inspect.cleandoc(parser.description),
            f"```text\n{usage}\n```",
            _table(options),
        ]
    parts += ["## What is saved", "`%config HubMagics` shows what `--persist` keeps in the IPython profile."]
    traits = HubMagics.class_own_traits(config=True).items()
    rows = [f"| `HubMagics.{name}` | {_words(trait.help)} |" for name, trait in sorted(traits)]
    return [*parts, "\n".join(["| setting | meaning |", "| --- | --- |", *rows])]


def _commands() -> list[str]:
    from hub_magic.host.__main__ import _parser as host_parser

    parser = make_parser()
    inner = _subcommands(parser)
    parts = [
        "# The commands and their options",
        "What `hub-magic --help` answers; this page is made from the same text.",
        _block(parser),
    ]
    for command in COMMANDS:
        parts += [f"## hub-magic {command.name}", _block(inner[command.name])]
    for name in (*FOR_SHELL, "completion"):
        parts += [f"## hub-magic {name}", _block(inner[name])]
    # `hub-magic serve` passes its arguments to this command.
    return [*parts, "## hub-magic serve", _block(host_parser())]


def _names(package: ModuleType) -> list[str]:
    parts = ["# The names in Python", "What `hub_magic` gives; every magic has its twin here."]
    for name in package.__all__:
        value = getattr(package, name)
        parts += [f"## {name}", f"```python\nhub_magic.{name}{_signature(value)}\n```", _docstring(value)]
        if inspect.isclass(value):
            parts.append(_members(value))
    return parts


def _signature(value: Any) -> str:
    """Return the signature; "" for a class that users receive and do not make."""
    if inspect.isclass(value):
        return ""
    signature = inspect.signature(value)
    given: list[str] = []
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and "*" not in given:
            given.append("*")
        given.append(_parameter(one))
    returned = f" -> {signature.return_annotation}"
    short = f"({', '.join(given)}){returned}"
    if len(short) < 60:
        return short
    lines = "".join(f"    {one},\n" for one in given)
    return f"(\n{lines}){returned}"


def _parameter(one: inspect.Parameter) -> str:
    """Return a parameter as written in the code; annotations are text already."""
    prefix = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    default = "" if one.default is one.empty else f" = {getattr(one.default, '__name__', repr(one.default))}"
    return f"{prefix}{one.name}: {one.annotation}{default}"


def _members(value: type) -> str:
    """Return the methods and properties of a class, with those inherited from our classes."""
    lines = []
    for name, member in inspect.getmembers(value):
        is_ours = any(name in vars(one) for one in value.__mro__ if one.__module__.startswith("hub_magic"))
        if name.startswith("_") or not is_ours or not (callable(member) or isinstance(member, property)):
            continue
        call = "()" if callable(member) else ""
        lines.append(f"- `.{name}{call}`: {(inspect.getdoc(member) or '').partition(chr(10))[0]}")
    return "\n".join(["**Members**", "", *lines]) if lines else ""


def _docstring(value: Any) -> str:
    """Return a docstring with its sections (`Args:`, `Raises:` ...) as lists."""
    text = inspect.getdoc(value) or ""
    lines = []
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z][a-z]+:", line):
            lines += [f"**{line[:-1]}**", ""]
        elif entry := re.fullmatch(r"    (\w+(?:, \w+)*): (.*)", line):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        else:
            lines.append(re.sub(r"^ {4,}", "    ", line))
    return "\n".join(lines)


def _table(options: tuple[Option, ...]) -> str:
    rows = [
        f"| `{_form(option)}` | {_words(option.settings['help'])} |"
        for option in options
        if option.settings["help"] != SUPPRESS
    ]
    return "\n".join(["| option | meaning |", "| --- | --- |", *rows])


def _form(option: Option) -> str:
    """Return an option with its values: `--fetch HANDLE...`."""
    settings = option.settings
    names = ", ".join(option.names)
    if settings.get("action") == "store_true":
        return names
    is_flag = names.startswith("-")
    value = settings.get("metavar", option.key.upper())
    following = _NUMBERS.get(settings.get("nargs", ""), "{0}").format(value)
    return f"{names} {following}" if is_flag else following


def _words(text: str) -> str:
    """Return a help text as a sentence of a table."""
    return (text[0].upper() + text[1:].rstrip(".") + ".").replace("%%", "%").replace("|", r"\|")


def _block(parser: ArgumentParser) -> str:
    return f"```text\n{parser.format_help().strip()}\n```"


def _subcommands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    found = next(action for action in parser._actions if isinstance(action.choices, dict))  # noqa: SLF001
    inner: _SubParsersAction[ArgumentParser] = found  # type: ignore[assignment]
    return dict(inner.choices)
