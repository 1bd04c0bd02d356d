"""The versions that the environments are held to: what the files may hold, and that every Python can be served."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from repository import REPOSITORY

SCRIPTS = REPOSITORY / "scripts"


@pytest.mark.parametrize("path", sorted((REPOSITORY / "constraints").iterdir()), ids=lambda path: path.name)
def test_constraints_hold_names_and_versions_only(path: Path) -> None:
    held = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.+!]*( ; [a-z_]+ [^/@]*)?")
    head, *lines = path.read_text().splitlines()
    assert head == "# Written by scripts/constraints.py; see its docstring."
    assert [line for line in lines if not held.fullmatch(line)] == []


# What Ubuntu 22.04, Debian 12, Ubuntu 24.04 and Debian 13 bring, and the first release of each minor version.
MICRO_VERSIONS = ("3.10.0", "3.10.12", "3.11.0", "3.11.2", "3.12.0", "3.12.3", "3.13.0", "3.13.5")


@pytest.mark.index
@pytest.mark.parametrize("path", sorted((REPOSITORY / "constraints").iterdir()), ids=lambda path: path.name)
def test_constraints_can_be_resolved_on_every_micro_version(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is installed under a file of constraints: a dry run for each Python."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from constraints import compile_command

    command = [*compile_command(path.stem, tmp_path), "--constraint", str(path), "--python-platform", "linux"]

    def resolve(version: str) -> subprocess.CompletedProcess[str]:
        words = [*command, "--python-version", version]
        return subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    pinned = {line.partition(" ")[0] for line in path.read_text().splitlines()}
    first, *others = MICRO_VERSIONS
    with ThreadPoolExecutor(len(others)) as pool:
        # What one has asked the index, the others find in uv's cache.
        results = [resolve(first), *pool.map(resolve, others)]
        for version, done in zip(MICRO_VERSIONS, results, strict=True):
            assert done.returncode == 0, (version, done.stderr)
            # Held to the letter: nothing that is resolved has a version of its own.
            resolved = [line.partition(" ")[0] for line in done.stdout.splitlines()]
            assert len(resolved) > 50
            assert [line for line in resolved if line not in pinned] == [], version
