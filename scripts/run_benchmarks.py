"""Run benchmarks and print their tables; `scripts/benchmark` runs this beside their competitors.

`--all --write` writes the tables of one run to docs/benchmarks.md, with the date and the hardware.

Standard library only, on any Python from 3.10 on: `--help` answers before anything is installed.
"""

from __future__ import annotations

import argparse
import ast
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import date, datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """\
# Benchmarks

This page shows what hub_magic costs beside other ways to do the same work. Each table is the output of one
program in the folder `benchmarks`. Compare the rows of one table only: another machine has other times.
`scripts/benchmark NAME` measures one table on yours; `scripts/benchmark --all --write` measures all of them
and writes this page.
"""


def main(arguments: list[str]) -> int:
    """Run the named benchmarks; return 0 when every benchmark succeeded."""
    parser = _parser()
    split = arguments.index("--") if "--" in arguments else len(arguments)
    given, rest = parser.parse_args(arguments[:split]), arguments[split + 1 :]
    if given.all == bool(given.name):
        parser.error(f"Name benchmarks, or add --all. There are {', '.join(names())}.")
    if unknown := [name for name in given.name if name not in names()]:
        parser.error(f"There is no benchmark {', '.join(unknown)}. There are {', '.join(names())}.")
    if given.write and not given.all:
        parser.error("--write only works with --all. Add --all.")
    if rest and len(given.name) != 1:
        parser.error("Arguments after -- only work with one benchmark. Name one.")
    if given.check:
        return 0
    outputs = run_all(given.name or names(), rest)
    failed = [name for name, output in outputs.items() if output is None]
    if failed:
        print(f"\nFailed: {', '.join(failed)}.", file=sys.stderr)
        if given.write:
            print(f"{PAGE.relative_to(ROOT)} is as it was: it needs a complete run.", file=sys.stderr)
        return 1
    if given.write:
        write(PAGE, page({name: output or "" for name, output in outputs.items()}))
        print(f"\nWrote {PAGE.relative_to(ROOT)}.")
    return 0


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all benchmarks."""
    return sorted(path.stem for path in folder.glob("*.py"))


def run_all(chosen: list[str], arguments: list[str], folder: Path = FOLDER) -> dict[str, str | None]:
    """Run benchmarks one after another; return the output of each, None if it failed."""
    outputs: dict[str, str | None] = {}
    for name in chosen:
        print(f"{chr(10) if outputs else ''}=== {name}: {summary(name, folder)}", flush=True)
        outputs[name] = _run(folder / f"{name}.py", arguments)
    return outputs


def _run(path: Path, arguments: list[str]) -> str | None:
    """Run a program, showing each line as it comes; return the output, None if the program failed."""
    path_before = os.environ.get("PYTHONPATH", "")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), path_before)))}
    env |= {"PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(path), *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    return None if process.returncode else "".join(lines)


def summary(name: str, folder: Path = FOLDER) -> str:
    """Return the first paragraph of a benchmark's docstring, in one line."""
    told = ast.get_docstring(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return " ".join(told.partition("\n\n")[0].split())


def page(outputs: Mapping[str, str], today: date | None = None) -> str:
    """Return the page of the manual with these tables; benchmarks that were not run are named."""
    today = today or datetime.now(tz=timezone.utc).date()
    parts = [HEAD, f"Measured on {today.isoformat()}: {machine()}.\n"]
    if missing := [name for name in names() if name not in outputs]:
        parts.append(f"Not measured in that run: {', '.join(f'`{name}`' for name in missing)}.\n")
    for name, output in outputs.items():
        parts.append(f"## {name}\n\n{summary(name)}\n\n```text\n{unnamed(output).strip()}\n```\n")
    return "\n".join(parts)


def machine() -> str:
    """Return the facts that times depend on: processors, memory, system and Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory / 1e9:.0f} GB of memory, "
        f"{platform.system()}, Python {platform.python_version()}"
    )


def unnamed(text: str) -> str:
    """Return a text without the folders and the host name of the computer that wrote it."""
    for place, shown in ((ROOT, "."), (Path.home(), "~")):
        if place != Path(place.anchor):
            text = text.replace(str(place), shown)
    return re.sub(rf"(?<![\w.-]){re.escape(socket.gethostname())}(?![\w-])", "HOST", text)


def write(path: Path, text: str) -> None:
    """Write a file in one step, so that an interrupt leaves the old one."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, names()))
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark",
        usage="%(prog)s [NAME ...] [--all] [--write] [-- ARGUMENTS]",
        description="Run benchmarks and print their tables. The first run installs their competitors.",
        epilog="benchmarks:\n" + "\n".join(f"  {name:{width}}  {summary(name)}" for name in names()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="a benchmark; ARGUMENTS go to it")
    parser.add_argument("--all", action="store_true", help="run all of them; this takes long")
    parser.add_argument(
        "--write", action="store_true", help="with --all: write the tables to docs/benchmarks.md"
    )
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
