"""The project's address: one setting, from which a script writes every badge, link and line that installs."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPOSITORY

sys.path.append(str(REPOSITORY / "scripts"))
address_lines = importlib.import_module("address_lines")
translations = importlib.import_module("translations")

OWNER = "some-body/hub.magic_2"
ADDRESS = f"https://github.com/{OWNER}"
# What git ignores, and git's own folder.
UNTRACKED = (".git", ".lanes", ".demo", ".venv", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository that has no address."""
    copied = tmp_path / "copy"
    shutil.copytree(
        REPOSITORY, copied, ignore=shutil.ignore_patterns(*UNTRACKED, "hub_models*", "*.egg-info")
    )
    write(copied, "")
    return copied


def write(copied: Path, address: str) -> None:
    """Fill in the address, and run the script."""
    fill(copied, address)
    done = run(copied)
    assert (done.returncode, done.stderr) == (0, "")
    assert run(copied, "--check").returncode == 0


def fill(copied: Path, address: str) -> None:
    project = copied / "pyproject.toml"
    text, count = re.subn(
        r'^repository = ".*"$',
        f'repository = "{address}"',
        project.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert count == 1
    project.write_text(text, encoding="utf-8")


def run(copied: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [copied / "scripts" / "addresses", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(copied: Path) -> dict[str, bytes]:
    found = (path for path in copied.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(copied).as_posix(): path.read_bytes() for path in found}


def cells(path: Path, kind: str) -> list[str]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def test_committed_files_are_those_that_the_script_writes() -> None:
    done = run(REPOSITORY, "--check")
    assert (done.returncode, done.stdout) == (0, "Every file shows the address in pyproject.toml.\n")


def test_address_that_is_filled_and_emptied_again_leaves_every_byte(copy: Path) -> None:
    before = contents(copy)
    write(copy, ADDRESS)
    changed = {path for path, text in contents(copy).items() if text != before[path]}
    assert changed == {path.relative_to(copy).as_posix() for path in address_lines.slots(copy)}
    write(copy, "https://github.com/another/place")
    write(copy, "")
    assert contents(copy) == before


def test_second_address_replaces_the_first(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(copy, tmp_path / "straight")
    write(copy, "https://github.com/another/place")
    write(copy, ADDRESS)
    write(tmp_path / "straight", ADDRESS)
    assert contents(copy) == contents(tmp_path / "straight")


def test_no_file_shows_a_repository_while_there_is_no_address(copy: Path) -> None:
    hosts = re.compile(
        r"https?://(?:\w+\.)*(?:github\.com|colab\.research\.google\.com/github|mybinder\.org)"
    )
    for path in address_lines.slots(copy):
        text = path.read_text(encoding="utf-8").replace("https://github.com/OWNER/NAME", "")
        assert hosts.findall(text) == [], path.name
    assert "[project.urls]\n" not in (copy / "pyproject.toml").read_text(encoding="utf-8")


def test_filled_address_is_in_readmes(copy: Path) -> None:
    write(copy, ADDRESS)
    for language in translations.LANGUAGES:
        text = translations.readme(language, copy).read_text(encoding="utf-8")
        notebook = translations.quickstart(language).name
        assert f"https://colab.research.google.com/github/{OWNER}/blob/main/notebooks/{notebook})" in text
        assert f"https://mybinder.org/v2/gh/{OWNER}/main?labpath=notebooks%2F{notebook})" in text
        assert f"```sh\ngit clone {ADDRESS}\ncd hub.magic_2\nscripts/demo\nscripts/test\n```" in text
        assert f"```\n%pip install git+{ADDRESS}\n%load_ext hub_magic\n```" in text
        assert f'`%pip install "hub-magic[tensorflow] @ git+{ADDRESS}"`' in text


def test_filled_address_is_in_notebooks(copy: Path) -> None:
    write(copy, ADDRESS)
    for path in (copy / "notebooks").glob("*.ipynb"):
        top = cells(path, "markdown")[0]
        assert f"https://colab.research.google.com/github/{OWNER}/blob/main/notebooks/{path.name})" in top
        assert f"https://mybinder.org/v2/gh/{OWNER}/main?labpath=notebooks%2F{path.name})" in top
        first = cells(path, "code")[0]
        assert f"!git clone --quiet --depth 1 {ADDRESS} hub_magic_clone\n" in first
        assert "print" not in first


def test_filled_address_is_in_papers_and_manual(copy: Path) -> None:
    write(copy, ADDRESS)
    wanted = {
        "pyproject.toml": f'[project.urls]\nRepository = "{ADDRESS}"\n',
        "CITATION.cff": f"\nrepository-code: {ADDRESS}\n",
        "SECURITY.md": f"({ADDRESS}/security)",
        "CHANGELOG.md": f"\n[0.1.0]: {ADDRESS}/releases/tag/v0.1.0\n",
        "mkdocs.yml": f"\n      link: {ADDRESS}\n",
        "docs/index.md": f"\n%pip install git+{ADDRESS}\n",
        "docs/colab.md": f"\n%pip install git+{ADDRESS}\n",
    }
    for name, text in wanted.items():
        assert text in (copy / name).read_text(encoding="utf-8"), name
    links = re.findall(rf"{ADDRESS}/blob/main/([\w./]+)", (copy / "docs" / "index.md").read_text())
    assert sorted(links) == sorted(f"notebooks/{name}.ipynb" for name in address_lines.LESSONS)
    assert all((copy / link).exists() for link in links)


def test_every_version_has_a_link_to_its_release(copy: Path) -> None:
    write(copy, ADDRESS)
    changes = copy / "CHANGELOG.md"
    text = changes.read_text(encoding="utf-8")
    changes.write_text(text.replace("## [0.1.0]", "## [0.2.0]\n\n## [0.1.0]"), encoding="utf-8")
    write(copy, ADDRESS)
    links = "".join(f"[{it}]: {ADDRESS}/releases/tag/v{it}\n" for it in ("0.2.0", "0.1.0"))
    assert changes.read_text(encoding="utf-8").endswith(f"\n\n{links}")
    assert changes.read_text(encoding="utf-8").count("/releases/tag/") == 2


def test_translations_are_as_far_behind_the_english_as_before(copy: Path) -> None:
    english, translation = translations.readme("en", copy), translations.readme("ja", copy)
    text = english.read_text(encoding="utf-8")
    # One section's English changes; the section also has lines that show the address.
    english.write_text(text.replace("## Install\n", "## Install\n\nA new sentence.\n", 1), encoding="utf-8")
    behind = translations.behind(english, translation)
    assert len(behind) == 1
    write(copy, ADDRESS)
    assert translations.behind(english, translation) == behind
    quickstarts = translations.quickstart("en", copy), translations.quickstart("ja", copy)
    assert translations.behind(*quickstarts) == []


@pytest.mark.parametrize(
    "address",
    ["https://gitlab.com/some/body", "github.com/some/body", f"{ADDRESS}/", f"{ADDRESS}.git", "words"],
)
def test_address_of_another_form_is_refused_and_nothing_is_written(copy: Path, address: str) -> None:
    fill(copy, address)
    before = contents(copy)
    done = run(copy)
    assert (done.returncode, done.stdout) == (1, "")
    told = f"{address} in pyproject.toml is not an address of the form https://github.com/OWNER/NAME.\n"
    assert done.stderr == told
    assert contents(copy) == before


def test_file_without_its_place_is_named_and_nothing_is_written(copy: Path) -> None:
    manual = copy / "docs" / "index.md"
    manual.write_text(
        manual.read_text(encoding="utf-8").replace("pip install .", "pip install it"), encoding="utf-8"
    )
    fill(copy, ADDRESS)
    before = contents(copy)
    done = run(copy)
    assert done.returncode == 1
    assert done.stderr.startswith("index.md: the text of 'pip install' is there 0 times, not once. ")
    assert contents(copy) == before
