"""Sessions in the manual: read from a page, run for real, and compared with the printed output."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kernel import Kernel

# Texts that differ from computer to computer, and from run to run.
VARIES = (
    (r"\d+(\.\d+)? GB( are)? free", "N GB free"),
    (r"\d+ (second|minute|hour|day)s? ago|just now", "WHEN"),
    (r"\d+\.\d+ s\b", "T s"),
    (r"\b[0-9a-f]{40}\b", "HASH"),
    (r" \(.*…", " …"),  # a long text is cut at a place that depends on the lengths of names
    (r" +", " "),
)


def sessions(page: Path, language: str = "ipython") -> list[str]:
    """Return the blocks of a page in this language: `ipython` or `console`."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def cells(session: str) -> list[tuple[str, str]]:
    """Return each input with the text below it."""
    found = []
    for part in re.split(r"^In \[\d+\]: ", session, flags=re.MULTILINE)[1:]:
        lines = part.rstrip().splitlines()
        more = [line[8:] for line in lines[1:] if line.startswith("   ...: ")]
        below = [line for line in lines[1:] if line.strip() and not line.startswith(("   ...: ", "Out["))]
        found.append(("\n".join([lines[0], *more]), "\n".join(below)))
    return found


def commands(session: str) -> list[tuple[str, str]]:
    """Return each command of a shell's session with the text below it."""
    parts = re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]
    return [(line, below) for line, _, below in (part.partition("\n") for part in parts)]


def normal(text: str, names: Mapping[str, str]) -> str:
    """Return a text with what varies replaced by words; `names` maps real names to those on the page."""
    for real, shown in names.items():
        text = text.replace(real, shown)
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def real(text: str, names: Mapping[str, str]) -> str:
    """Return a text of the page in the form to run."""
    for found, shown in names.items():
        text = text.replace(shown, found)
    return text


def replay(page: Path, kernel: Kernel, names: Mapping[str, str]) -> int:
    """Run the notebook sessions of a page, which must print the text there, and return the number of cells."""
    count = 0
    for session in sessions(page):
        for code, expected in cells(session):
            done = kernel.run(real(code, names))
            error = done.error.splitlines()[-1] if done.status == "error" else ""
            printed = f"{done.stdout}\n{done.text}\n{error}"
            assert [code, normal(printed, names)] == [code, normal(expected, {})]
            count += 1
    return count


def replay_commands(page: Path, folder: Path, env: Mapping[str, str], names: Mapping[str, str]) -> int:
    """Run the shell sessions of a page in a folder, and return the number of commands."""
    count = 0
    for session in sessions(page, "console"):
        for command, expected in commands(session):
            done = subprocess.run(
                real(command, names), shell=True, cwd=folder, env=dict(env), stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            assert [command, normal(done.stdout, names)] == [command, normal(expected, {})]
            count += 1
    return count
