"""The folder `binder`, as repo2docker reads it; scripts/binder_session.py builds from it and runs the quickstart."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from repository import REPOSITORY

BINDER = REPOSITORY / "binder"

# https://repo2docker.readthedocs.io/en/latest/configuration/: other names it passes over without a word.
KNOWN = {"apt.txt", "environment.yml", "postBuild", "requirements.txt", "runtime.txt", "start"}


def lines(path: Path) -> list[str]:
    found = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in found if line]


def test_binder_folder_has_only_files_that_binder_reads() -> None:
    assert {path.name for path in BINDER.iterdir()} <= KNOWN


def test_the_project_is_installed_from_the_clone() -> None:
    # Below `-e`, a leading dot tells repo2docker to have the whole repository in place before it calls pip.
    assert lines(BINDER / "requirements.txt")[0] == "-e .[tensorflow]"


def test_binder_versions_are_those_of_the_tests() -> None:
    python = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    image = {"python_version": python, "python_full_version": f"{python}.0"}
    held = map(Requirement, lines(REPOSITORY / "constraints" / "newest.txt"))
    tested = {f"{one.name}{one.specifier}" for one in held if not one.marker or one.marker.evaluate(image)}
    for pinned in lines(BINDER / "requirements.txt")[1:]:
        assert pinned in tested


def test_binder_installs_the_imports_of_the_lessons() -> None:
    (demo,) = re.findall(
        r"^demo = \[(.*?)^\]", (REPOSITORY / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE
    )
    needed = set(re.findall(r'"([a-z0-9-]+)', demo)) - {"jupyterlab", "nbclient"}  # the image brings these
    assert needed <= {line.partition("==")[0] for line in lines(BINDER / "requirements.txt")}


def test_its_lane_runs_the_python_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    from environments import ENVIRONMENTS

    assert (BINDER / "runtime.txt").read_text() == f"python-{ENVIRONMENTS['binder'].python}\n"
    assert ENVIRONMENTS["binder"].file == "binder/requirements.txt"


def test_post_build_can_be_executed() -> None:
    assert os.access(BINDER / "postBuild", os.X_OK)
