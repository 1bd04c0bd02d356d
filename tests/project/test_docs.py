"""The manual is true to the word: its sessions are run, and what it lists is complete."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import manual_rig
import pytest
from repository import REPOSITORY
from sessions import commands, replay, replay_commands, sessions

import hub_magic
from hub_magic import HubMagicError
from hub_magic.cli.parser import CACHE, COMMANDS, JSON
from hub_magic.commands import options

DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.glob("*.md"))
PAPERS = ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "SECURITY.md")
# The kernel's pages that need no TensorFlow; the others have a test of their own.
PLAIN = ("browser", "colab", "disk", "doctor", "firewall", "jupyterhub")


def load_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", REPOSITORY / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    pages: dict[str, str] = load_reference().pages()
    return pages


@pytest.fixture(scope="module")
def lookalikes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return manual_rig.make_lookalikes(tmp_path_factory.mktemp("lookalikes"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return manual_rig.make_real(tmp_path_factory.mktemp("real"))


@pytest.mark.thorough
@pytest.mark.kernel
@pytest.mark.parametrize("name", PLAIN)
def test_sessions_of_the_manual_print_what_the_page_shows(
    name: str, lookalikes: Path, tmp_path: Path
) -> None:
    with manual_rig.stage(tmp_path, lookalikes) as stage:
        assert replay(DOCS / f"{name}.md", stage.kernel, stage.names) >= 1


@pytest.mark.thorough
@pytest.mark.kernel
def test_bucket_sessions_print_what_the_page_shows(lookalikes: Path, tmp_path: Path) -> None:
    with manual_rig.bucket_stage(tmp_path, lookalikes) as stage:
        assert replay(DOCS / "bucket.md", stage.kernel, stage.names) >= 1


@pytest.mark.thorough
@pytest.mark.kernel
@pytest.mark.tensorflow
@pytest.mark.worker
def test_worker_sessions_print_what_the_page_shows(real: Path, tmp_path: Path) -> None:
    with manual_rig.worker_stage(tmp_path, real) as stage:
        assert replay(DOCS / "tpu.md", stage.kernel, stage.names) >= 1


@pytest.mark.thorough
@pytest.mark.kernel
@pytest.mark.tensorflow
def test_failing_sessions_print_what_the_page_shows(real: Path, tmp_path: Path) -> None:
    with manual_rig.stage(tmp_path, real) as stage:
        assert replay(DOCS / "errors.md", stage.kernel, stage.names) >= 1


def test_commands_of_the_manual_print_what_the_page_shows(lookalikes: Path, tmp_path: Path) -> None:
    with manual_rig.shell(tmp_path, lookalikes) as shell:
        assert replay_commands(DOCS / "commands.md", shell.folder, shell.env, shell.names) >= 1


def test_every_page_with_a_session_is_tested() -> None:
    run = {*PLAIN, "bucket", "tpu", "errors"}
    assert {page.stem for page in PAGES if sessions(page)} == run
    assert {page.stem for page in PAGES if any(map(commands, sessions(page, "console")))} == {"commands"}


def test_reference_holds_every_option(reference: dict[str, str]) -> None:
    magics = reference["reference/magics.md"]
    for name, taken in options.MAGICS.items():
        section = re.search(rf"^## %{name}\b.*?(?=^## |\Z)", magics, re.DOTALL | re.MULTILINE)
        assert section, name
        shown = [option for option in taken if option is not options.CELL]
        rows = re.findall(r"^\| `(\[?[\w-]+)", section[0], re.MULTILINE)
        assert rows == [_first_word(option) for option in shown]
        assert "--cell" not in section[0]
    for command in COMMANDS:
        section = _section(reference["reference/commands.md"], f"hub-magic {command.name}")
        for option in (*command.modifiers, CACHE, JSON):
            assert option.names[-1] in section, command.name
    assert "--bind" in _section(reference["reference/commands.md"], "hub-magic serve")


def test_reference_holds_every_public_name(reference: dict[str, str]) -> None:
    for name in hub_magic.__all__:
        assert f"hub_magic.{name}" in _section(reference["reference/python.md"], name)


def test_errors_page_holds_every_class() -> None:
    page = (DOCS / "errors.md").read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # ipywidgets 7 takes what ipykernel has moved
        for module in pkgutil.walk_packages(hub_magic.__path__, "hub_magic."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    classes = list(_ours(HubMagicError))
    assert {f"`{one.__name__}`" for one in classes} == set(re.findall(r"^## (`\w+`)$", page, re.MULTILINE))
    for one in classes:
        section = _section(page, f"`{one.__name__}`")
        assert [kind for kind in _kinds_of(one) if f"`{kind}`" not in section] == []


@pytest.mark.parametrize("name", ["errors", "bucket"])
def test_messages_quoted_are_those_of_the_code(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text().partition("## What TensorFlow")[0]
    quoted = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    parts = [part for message in quoted for part in re.split(r"`, `|`|\.\.\.|\b[A-Z]{3,}\b", message)]
    wanted = [part.strip(" .,()") for part in parts]
    said = "\n".join(_texts_of(Path(hub_magic.__file__).parent))
    assert [words for words in wanted if words not in said] == []


def test_pages_are_in_the_navigation(reference: dict[str, str]) -> None:
    listed = re.findall(r": (\S+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted([*(page.name for page in PAGES), *reference])


def test_papers_name_existing_files() -> None:
    """The files beside the README: what they link and name exists, and the repository has one address."""
    papers = {name: (REPOSITORY / name).read_text() for name in PAPERS}
    for name, text in papers.items():
        named = {
            *re.findall(r"\]\((?!https?:|#)([^)#]+)", text),
            *re.findall(r"`((?:tests|scripts|docs)/\S+\.\w+)`", text),
        }
        assert [path for path in named if not (REPOSITORY / path).exists()] == [], name
    address = re.search(r'^repository = "(.*)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    assert address
    texts = (*papers.values(), *(page.read_text() for page in PAGES), (REPOSITORY / "mkdocs.yml").read_text())
    links = {link for text in texts for link in re.findall(r"https://github\.com/[\w./-]*", text)}
    assert bool(links) == bool(address[1])  # no link leads to GitHub while the repository has no address
    assert [link for link in links if not f"{link}/".startswith(f"{address[1]}/")] == []
    files = {link.partition("/blob/main/")[2] for link in links if "/blob/main/" in link}
    assert [file for file in files if not (REPOSITORY / file).exists()] == []


def test_built_manual_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not in this environment")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    built = {path: path.read_text() for path in tmp_path.rglob("*.html")}
    assert {tmp_path / "errors/index.html", tmp_path / "reference/magics/index.html"} <= set(built)
    foreign = r"""<(?:link|script|img|iframe)\b[^>]*\b(?:src|href)=["']?(https?:)?//"""
    assert [path for path, text in built.items() if re.search(foreign, text)] == []


def test_citation_has_the_current_version() -> None:
    cited = (REPOSITORY / "CITATION.cff").read_text()
    assert f"\nversion: {hub_magic.__version__}\n" in cited
    newest = re.search(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == hub_magic.__version__


def _kinds_of(error: type) -> Iterator[str]:
    for kind in _ours(error):
        yield kind.__name__
        yield from _kinds_of(kind)


def _ours(error: type) -> Iterator[type]:
    """Its kinds in the package; tests may have made others."""
    return (kind for kind in error.__subclasses__() if kind.__module__.startswith("hub_magic"))


def _texts_of(package: Path) -> Iterator[str]:
    """Every text in the code, with a mark where a value is put into it."""
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                parts = (one.value if isinstance(one, ast.Constant) else "\0" for one in node.values)
                yield "".join(map(str, parts))


def _section(page: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}$.*?(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[0]


def _first_word(option: options.Option) -> str:
    return option.names[0] if option.names[0].startswith("-") else f"[{option.key.upper()}"
