"""The README is true to the word: every session in it is run, and must print what stands there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from kernel import REPOSITORY, Kernel
from test_notebooks import host  # noqa: F401 - the fixture

from hub_magic.host import ModelHost

README = REPOSITORY / "README.md"
PORT = "127.0.0.1:8000"

# What differs from machine to machine, and from run to run.
VARIES = (
    (r"\d+(\.\d+)? GB( are)? free", "N GB free"),
    (r"\d+ (second|minute|hour|day)s? ago|just now", "WHEN"),
    (r"\d+\.\d+ s\b", "T s"),
    (r"\b[0-9a-f]{40}\b", "HASH"),
    (r" +", " "),
)


def sessions() -> list[str]:
    return re.findall(r"^```ipython\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


def cells(session: str) -> list[tuple[str, str]]:
    """Each input with what stands below it."""
    found = []
    for part in re.split(r"^In \[\d+\]: ", session, flags=re.MULTILINE)[1:]:
        lines = part.rstrip().splitlines()
        more = [line[8:] for line in lines[1:] if line.startswith("   ...: ")]
        below = [line for line in lines[1:] if line.strip() and not line.startswith(("   ...: ", "Out["))]
        found.append(("\n".join([lines[0], *more]), "\n".join(below)))
    return found


def normal(text: str, names: dict[str, str]) -> str:
    for real, shown in names.items():
        text = text.replace(real, shown)
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@pytest.mark.tensorflow
@pytest.mark.kernel
def test_sessions(host: ModelHost, tmp_path: Path) -> None:  # noqa: F811
    home = tmp_path / "home"
    address = host.url.removeprefix("http://")
    names = {address: PORT, str(home): "/home/you", os.uname().nodename: "laptop"}
    assert len(sessions()) >= 1
    with Kernel(tmp_path / "kernel", HOME=str(home), no_proxy="127.0.0.1,localhost") as kernel:
        for session in sessions():
            for code, expected in cells(session):
                done = kernel.run(code.replace(PORT, address))
                error = done.error.splitlines()[-1] if done.status == "error" else ""
                printed = f"{done.stdout}\n{done.text}\n{error}"
                assert normal(printed, names) == normal(expected, {}), code


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README.read_text())
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []
