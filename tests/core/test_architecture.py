"""The rules that keep the package as it is drawn: who imports whom, and what loads what."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPOSITORY

import hub_magic
from hub_magic.render import SHOWN, functions_of

PACKAGE = Path(hub_magic.__file__).parent
PAGE = REPOSITORY / "docs" / "architecture.md"

# Each imports only what stands before it.
ORDER = (
    "masking",
    "errors",
    "small_files",
    "facts",
    "quantities",
    "progress",
    "handles",
    "import_hooks",
    "detours",
    "cell_values",
    "locations",
    "settings",
    "keras",
    "runtime",
    "gcs",
    "cache",
    "bucket",
    "store",
    "download",
    "care",
    "loading",
    "doctor",
    "render",
    "commands",
    "widget",
    "cli",
    "magics",
)
# These import nothing of ours.
ALONE = ("host",)

# What may be imported when a module is loaded, and where; all else of it stands in functions.
SLOW = {
    "IPython",
    "anywidget",
    "google",
    "ipywidgets",
    "requests",
    "tensorflow",
    "tensorflow_hub",
    "tqdm",
    "traitlets",
}
WHERE = {
    "IPython": {"magics"},
    "traitlets": {"magics", "widget"},
    "anywidget": {"widget"},
    "ipywidgets": {"widget"},
}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def home(path: Path) -> str:
    """The noun a file belongs to: its folder in the package, or itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path, *, only_at_load: bool) -> set[str]:
    """The modules a file imports, ours as `hub_magic.NOUN`."""
    tree = ast.parse(path.read_text())
    depth = len(path.relative_to(PACKAGE).parts)
    found = set()
    for node, at_load in walk(tree):
        if only_at_load and not at_load:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            found |= (
                {f"hub_magic.{node.module}"} if node.module else {f"hub_magic.{n.name}" for n in node.names}
            )
    return found


def walk(tree: ast.AST, *, at_load: bool = True):
    """Every node, and whether it runs when the module is loaded."""
    for node in ast.iter_child_nodes(tree):
        yield node, at_load
        inside_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        yield from walk(node, at_load=at_load and not inside_function and not for_types)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_room_imports_only_rooms_below(path: Path) -> None:
    noun = home(path)
    ours = {
        name.split(".")[1] for name in imported(path, only_at_load=False) if name.startswith("hub_magic.")
    }
    allowed = (
        set()
        if noun in ALONE
        else {*ORDER[: ORDER.index(noun) + 1], "host"}
        if noun != "__main__"
        else {"cli"}
    )
    assert ours <= allowed
    slow = {name.split(".")[0] for name in imported(path, only_at_load=True)} & SLOW
    assert all(noun in WHERE.get(name, ()) for name in slow), slow


def dependencies() -> dict[str, set[str]]:
    """Module → the modules of ours that it imports, inside functions too."""
    found = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in modules()}
    found["hub_magic"] = PACKAGE / "__init__.py"
    named = {name.removesuffix(".__init__"): path for name, path in found.items()}
    return {name: _imports_of(name, path, named) for name, path in named.items()}


def _imports_of(name: str, path: Path, named: dict[str, Path]) -> set[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        home = ".".join([*parents, *filter(None, [node.module])])
        for one in node.names:
            target = f"{home}.{one.name}" if f"{home}.{one.name}" in named else home
            if target in named and target != name:
                found.add(target)
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not even inside functions: what is left when all that import nothing left are taken out is a circle."""
    left = dependencies()
    del left["hub_magic"]  # the public names, which import what stands below when they are asked for
    while free := {name for name, imports in left.items() if not imports & left.keys()}:
        left = {name: imports for name, imports in left.items() if name not in free}
    assert sorted(left) == []


def test_no_module_is_imported_by_a_string() -> None:
    """A reader, an editor and mypy follow names, not strings."""
    calls = [
        str(path.relative_to(PACKAGE))
        for path in [*modules(), PACKAGE / "__init__.py"]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__"))
    ]
    assert calls == []


def test_architecture_page_names_every_module_in_its_own_words() -> None:
    page = PAGE.read_text()
    for path in modules():
        if path.stem.startswith("__"):
            continue
        line = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        assert f"| `{path.name}` | {line.removesuffix('.')} |" in page, path
    rooms = {path.parent.name for path in modules() if path.parent != PACKAGE}
    assert [room for room in sorted(rooms) if f"### {room}/: " not in page] == []


def test_every_class_that_is_shown_can_be_shown() -> None:
    for name in SHOWN:
        home, _, kind = name.rpartition(".")
        made = getattr(importlib.import_module(home), kind)
        assert made.__module__ == home
        assert functions_of(made.__new__(made)) is not None


NOUNS = sorted({home(path) for path in modules()})


def test_every_room_is_in_the_order() -> None:
    assert set(NOUNS) <= {*ORDER, *ALONE, "__main__"}


@pytest.mark.parametrize("noun", [noun for noun in NOUNS if noun not in {*WHERE["traitlets"], "__main__"}])
def test_a_core_module_alone_loads_nothing_slow(noun: str) -> None:
    code = f"import sys, hub_magic.{noun}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    # A distribution may bind the namespace `google` with a .pth file at every start of Python.
    assert not (SLOW - {"google"}) & set(done.stdout.split())


def test_public_names_are_complete_and_sorted() -> None:
    assert sorted(hub_magic.__all__) == hub_magic.__all__
    assert [name for name in hub_magic.__all__ if hub_magic._home(name) is None] == []
    for name in hub_magic.__all__:
        assert getattr(hub_magic, name).__name__ == name
        assert name in dir(hub_magic)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = hub_magic.nothing


def test_every_public_class_and_function_is_described() -> None:
    for name in hub_magic.__all__:
        assert (getattr(hub_magic, name).__doc__ or "").strip(), name


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(PACKAGE)): count
        for path in modules()
        if (count := len(path.read_text().splitlines())) > 450
    }
    assert long == {}


# Modules behind the public names that tests, scripts and benchmarks still need: parsers and layouts that are tested on
# their own, rigs that write what a cache holds, and the texts of renderings. All else comes from `hub_magic` itself.
INTERNALS = [
    "bucket.lock",
    "bucket.scan",
    "cache.checkpoint",
    "cache.entry",
    "cache.folders",
    "cache.layout",
    "cache.locks",
    "cache.placement",
    "cache.record",
    "cache.refresh",
    "cache.savedmodel",
    "cache.selection",
    "care.export",
    "cell_values",
    "cli.completion",
    "cli.main",
    "cli.parser",
    "commands",
    "commands.line",
    "commands.options",
    "commands.slips",
    "commands.sources",
    "commands.verbs",
    "detours",
    "doctor.diagnosis",
    "doctor.location",
    "doctor.network",
    "doctor.variables",
    "download",
    "download.archive",
    "download.decode",
    "download.fetching",
    "download.http",
    "download.lock",
    "download.messages",
    "download.new_entry",
    "download.ownership",
    "download.proxies",
    "download.resolver",
    "download.web",
    "gcs",
    "import_hooks",
    "loading",
    "loading.damage",
    "loading.model_files",
    "loading.relay",
    "locations",
    "magics.cell",
    "magics.hub",
    "masking",
    "progress",
    "quantities",
    "render",
    "render.cache",
    "render.doctor",
    "render.plan",
    "runtime",
    "settings",
    "small_files",
    "store",
    "widget.details",
    "widget.messages",
    "widget.rows",
]


def test_internals_that_tests_need_are_listed() -> None:
    folders = [PACKAGE.parent / name for name in ("tests", "scripts", "benchmarks")]
    used = set()
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                used.add(node.module or "")
            elif isinstance(node, ast.Import):
                used |= {name.name for name in node.names}
    ours = {name.removeprefix("hub_magic.") for name in used if name.startswith("hub_magic.")}
    assert sorted(name for name in ours if name.partition(".")[0] != "host") == INTERNALS
