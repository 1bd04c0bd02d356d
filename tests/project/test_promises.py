"""The table of promises: each line is understood by its magic, each test named is there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from fork_server import run_python
from repository import REPOSITORY

from hub_magic.commands.line import CacheLine, DoctorLine, ModeLine, TpuLine
from hub_magic.magics.hub import HubMagics, parse

LINES = {"hub_mode": ModeLine, "hub_cache": CacheLine, "hub_tpu": TpuLine, "hub_doctor": DoctorLine}

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (REPOSITORY / "docs" / "promises.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| the manual"))
]
FLAGS = """
import json, sys
from hub_magic import read_cache, read_mode
from hub_magic.import_hooks import pkg_resources_stand_in
with pkg_resources_stand_in():
    from tensorflow_hub import resolver
from absl import flags
default = [read_cache().value, resolver.tfhub_cache_dir(use_temp=True), read_mode().value, resolver.model_load_format()]
flags.FLAGS(["program", f"--tfhub_cache_dir={sys.argv[1]}", "--tfhub_model_load_format=UNCOMPRESSED"])
cache, mode = read_cache(), read_mode()
named = [cache.value, resolver.tfhub_cache_dir(use_temp=True), mode.value, resolver.model_load_format(), cache.source, mode.source]
print(json.dumps([default, named]))
"""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_promise_names_existing_tests(row: list[str]) -> None:
    _, act, shown_by = row
    magic, _, rest = act.strip("`").partition(" ")
    kind = "cell" if magic.startswith("%%") else "line"
    name = magic.lstrip("%")
    assert name in HubMagics.magics[kind]
    parse(getattr(HubMagics, name), rest, LINES[name])
    tests = re.findall(r"`(tests/\w+/\w+\.py)::(\w+)`", shown_by)
    assert tests
    assert shown_by == ", ".join(f"`{path}::{test}`" for path, test in tests)
    assert [f"{path}::{test}" for path, test in tests if test not in _tests_of(REPOSITORY / path)] == []


def test_promises_table_names_every_setting() -> None:
    """What the manual names is somewhere in it."""
    text = " ".join(row[0] for row in ROWS)
    named = (
        "TFHUB_CACHE_DIR",
        "--tfhub_cache_dir",
        "TFHUB_MODEL_LOAD_FORMAT",
        "--tfhub_model_load_format",
        "tfhub_modules",
        "hub.resolve",
        "experimental_io_device",
        "bucket of your own",
        "cleaned up",
        "canonical URLs",
    )
    assert [one for one in named if one not in text] == []


@pytest.mark.tensorflow
def test_flags_and_default_are_the_librarys(tmp_path: Path) -> None:
    done = run_python("-c", FLAGS, str(tmp_path), check=True)
    default, named = json.loads(done.stdout)
    assert default[0] == default[1]
    assert default[2:] == ["compressed", "AUTO"]
    assert named == [str(tmp_path), str(tmp_path), "uncompressed", "UNCOMPRESSED", "flag", "flag"]


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
