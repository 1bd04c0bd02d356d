"""The package's declarations, its distributions, and the set-up of contributors.

Tests that resolve or install packages ask the package index.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from repository import REPOSITORY

import hub_magic

SCRIPTS = REPOSITORY / "scripts"
sys.path.insert(0, str(SCRIPTS))

import run_benchmarks  # noqa: E402
from checks import STEPS  # noqa: E402
from environments import ENVIRONMENTS, find_python  # noqa: E402

# Modules whose distributions have other names.
DISTRIBUTIONS = {
    "IPython": "ipython",
    "google.api_core": "google-api-core",
    "google.auth": "google-auth",
    "google.cloud.storage": "google-cloud-storage",
    "google_crc32c": "google-crc32c",
}
# Modules that are imported and not declared, and why.
UNDECLARED = {
    "google.resumable_media": "google-cloud-storage before 3.0 brings it, and is asked for it then only",
    "tensorflow": "an extra: Colab and Kaggle bring their own builds",
    "tensorflow_hub": "an extra, as TensorFlow",
}
# Distributions that are declared and not imported, and why.
NOT_IMPORTED = {"ipywidgets": "anywidget brings it; the extension needs this version or a later one"}


def _run(*command: str | Path, cwd: Path = REPOSITORY) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _pyproject() -> dict:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def _tracked() -> list[str]:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("This is no clone: git does not tell which files are tracked.")
    return _run("git", "ls-files").splitlines()


# What is declared


def _imports(node: ast.AST) -> Iterator[str]:
    """Yield the modules that code imports when it runs, and each name imported from them as a submodule."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (name.name for name in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:
            yield from (f"{child.module}.{name.name}" for name in child.names)
        yield from _imports(child)


def _third_party(package: Path) -> set[str]:
    """Return what a package imports of others: of the shared `google`, the modules named above, else top levels."""
    known = {*DISTRIBUTIONS, *UNDECLARED}
    found = set()
    for path in package.rglob("*.py"):
        for name in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            top = name.partition(".")[0]
            if top not in {*sys.stdlib_module_names, package.name}:
                found.add(next((module for module in known if f"{name}.".startswith(f"{module}.")), top))
    return found


def test_every_import_is_declared_and_every_dependency_is_imported() -> None:
    requirements = [Requirement(line) for line in _pyproject()["project"]["dependencies"]]
    imported = _third_party(REPOSITORY / "hub_magic")
    needed = {DISTRIBUTIONS.get(name, name) for name in imported - {*UNDECLARED}}
    assert {*needed, *NOT_IMPORTED} == {one.name for one in requirements}
    assert needed.isdisjoint(NOT_IMPORTED)
    assert {*DISTRIBUTIONS, *UNDECLARED} <= imported
    assert [str(one) for one in requirements if not one.specifier] == []


def test_undeclared_import_is_found(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "one.py").write_text(
        "import json, yaml\nfrom . import two\nfrom google.cloud import storage, bigquery\n"
        "if TYPE_CHECKING:\n    import pandas\ndef f():\n    from attr.validators import gt\n"
    )
    assert _third_party(package) == {"yaml", "google.cloud.storage", "google", "attr"}


def test_each_dependency_has_its_reason() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    (block,) = re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert [line for line in block.splitlines() if not re.search(r'", +# \w', line)] == []


def test_version_is_named_in_the_package_only() -> None:
    assert "version" not in _pyproject()["project"]
    copies = [
        "hub_magic/__init__.py",
        "CITATION.cff",
        "CHANGELOG.md",
    ]  # tests/project/test_docs.py compares these
    named = re.compile(rf"version\W+{re.escape(hub_magic.__version__)}\b")
    sources = [name for name in _tracked() if name.endswith((".py", ".toml", ".yml", ".cff"))]
    assert [
        name for name in sources if named.search((REPOSITORY / name).read_text()) and name not in copies
    ] == []


# The distributions


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist, as `scripts/build` makes them."""
    folder = tmp_path_factory.mktemp("dist")
    printed = _run(sys.executable, SCRIPTS / "build_distributions.py", "--folder", folder)
    wheel = Path(printed.splitlines()[-1])
    (sdist,) = (path for path in folder.iterdir() if path != wheel)
    return wheel, sdist


def test_build_makes_both_of_the_version_and_prints_the_wheel_last(distributions: tuple[Path, Path]) -> None:
    wheel, sdist = distributions
    assert wheel.is_file()
    assert wheel.name == f"hub_magic-{hub_magic.__version__}-py3-none-any.whl"
    assert sdist.name == f"hub_magic-{hub_magic.__version__}.tar.gz"


def test_sdist_contains_every_tracked_file_and_nothing_else(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[1]) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    tracked = _tracked()
    assert [name for name in tracked if name not in found] == []
    # A new file that is not added yet may be in it.
    new = _run("git", "ls-files", "--others", "--exclude-standard").splitlines()
    assert found - {*tracked, *new} == {"PKG-INFO"}


def test_tests_run_from_the_sdist(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    _run(sys.executable, "-m", "tarfile", "-e", distributions[1], tmp_path)
    (unpacked,) = tmp_path.iterdir()
    # One needs the package only, the other reads notebooks and translations.
    tests = [next(unpacked.glob(f"tests/**/{name}.py")) for name in ("test_handles", "test_languages")]
    assert _run(sys.executable, "-c", "import hub_magic; print(hub_magic.__file__)", cwd=unpacked).startswith(
        str(unpacked)
    )
    printed = _run(
        sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={tmp_path / 'cache'}", *tests, cwd=unpacked
    )
    assert re.search(r"\d+ passed", printed)


@pytest.mark.parametrize("script", ["build", "benchmark"])
def test_help_answers_before_anything_is_installed(script: str, tmp_path: Path) -> None:
    for name in ("scripts", "benchmarks"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    assert f"usage: scripts/{script}" in _run(tmp_path / "scripts" / script, "--help", cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmarks", "scripts"]


@pytest.mark.index
def test_wheel_loads_in_a_fresh_environment_with_the_pins_of_colab(
    distributions: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("uv", reason="uv is not in this environment")
    colab = ENVIRONMENTS["colab"]
    # TensorFlow is left out: the extension loads without, and it is half a gigabyte.
    pins = [pin for pin in colab.pins if not pin.startswith(("tensorflow", "tf-keras"))]
    python = tmp_path / "colab" / "bin" / "python"
    uv = (sys.executable, "-m", "uv", "--quiet", "--no-progress")
    _run(
        *uv, "venv", "--python", find_python(colab.python) or sys.executable, tmp_path / "colab", cwd=tmp_path
    )
    held = ("--constraint", colab.constraints_file)
    _run(*uv, "pip", "install", "--python", python, distributions[0], *pins, *held, cwd=tmp_path)
    cell = (
        "%load_ext hub_magic\nimport IPython, hub_magic, json\n"
        "lines = get_ipython().run_line_magic('hub_cache', '--list')\n"
        "print(json.dumps([IPython.__version__, hub_magic.__file__, type(lines).__name__]))\n"
    )
    env = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "TFHUB_CACHE_DIR": str(tmp_path / "models")}
    env.pop("PYTHONPATH", None)
    command = [python, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", cell]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # IPython sets the terminal's title before.
    version, file, kind = json.loads(done.stdout.splitlines()[-1].rpartition("\a")[2])
    assert f"ipython=={version}" in pins
    assert Path(file).is_relative_to(tmp_path / "colab")
    assert kind == "CacheScan"


# The extra


def _resolve(python: str, folder: Path, *options: str, constraint: str = "") -> dict[str, Version]:
    """Return what uv would install for a Python on Linux; raise AssertionError with its words where it refuses."""
    pytest.importorskip("uv", reason="uv is not in this environment")
    (folder / "constraints.txt").write_text(constraint)
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += [
        "--no-emit-index-url",
        "--python-version",
        python,
        "--python-platform",
        "x86_64-manylinux_2_28",
    ]
    command += ["--constraint", str(folder / "constraints.txt"), *options, str(REPOSITORY / "pyproject.toml")]
    pairs = (line.split("==") for line in _run(*command, cwd=folder).splitlines())
    return {name: Version(version) for name, version in pairs}


def _fits(found: dict[str, Version]) -> bool:
    """Tell whether TensorFlow and tf-keras are of one minor version."""
    return found["tensorflow"].release[:2] == found["tf-keras"].release[:2]


@pytest.mark.index
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_extra_resolves_to_a_matching_release(python: str, tmp_path: Path) -> None:
    found = _resolve(python, tmp_path, "--extra", "tensorflow")
    assert _fits(found)
    assert not found["tensorflow"].is_prerelease


@pytest.mark.index
def test_extra_still_takes_tensorflow_2_15(tmp_path: Path) -> None:
    found = _resolve("3.11", tmp_path, "--extra", "tensorflow", constraint="tensorflow<2.16")
    assert found["tensorflow"].release[:2] == (2, 15)
    assert _fits(found)


@pytest.mark.index
def test_extra_on_python_3_14_matches_or_is_refused(tmp_path: Path) -> None:
    try:
        found = _resolve("3.14", tmp_path, "--extra", "tensorflow")
    except AssertionError as refusal:
        told = str(refusal)
        assert "No solution found" in told
        assert "`tensorflow`" in told
        assert "cp314" in told
    else:
        assert _fits(found)


@pytest.mark.index
def test_package_without_the_extra_installs_on_python_3_14(tmp_path: Path) -> None:
    found = _resolve("3.14", tmp_path)
    assert {"ipython", "anywidget"} <= set(found)
    assert {"tensorflow", "tf-keras"}.isdisjoint(found)


# The benchmarks


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Name benchmarks, or add --all."),
        (("nope",), "There is no benchmark nope."),
        (("load_ext", "--write"), "--write only works with --all. Add --all."),
        (("--all", "--", "3"), "Arguments after -- only work with one benchmark."),
    ],
)
def test_wrong_benchmark_arguments_are_refused_before_any_install(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    for name in ("scripts", "benchmarks"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    command = [tmp_path / "scripts" / "benchmark", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert not (tmp_path / ".lanes").exists()


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A repository with two small benchmarks, and a page of an earlier run."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts")
    for name, code in (
        ("first", "print(' row  1.0 ms')"),
        ("second", "import os, socket\nprint(os.getcwd(), socket.gethostname())"),
    ):
        path = tmp_path / "benchmarks" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'"""What the {name}\ncosts.\n\nMore.\n"""\n{code}\n')
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "benchmarks.md").write_text("earlier\n")
    return tmp_path


def _benchmark(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, repository / "scripts" / "run_benchmarks.py", *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


def test_complete_run_writes_the_page_without_naming_the_machine(bench: Path) -> None:
    done = _benchmark(bench, "--all", "--write")
    assert done.returncode == 0, done.stderr
    text = (bench / "docs" / "benchmarks.md").read_text()
    assert "## first\n\nWhat the first costs.\n\n```text\nrow  1.0 ms\n```\n" in text
    assert "## second\n\nWhat the second costs.\n\n```text\n. HOST\n```\n" in text
    assert re.search(
        r"^Measured on \d{4}-\d\d-\d\d: \d+ cores \(\w+\), \d+ GB of memory, \w+, Python 3\.",
        text,
        re.MULTILINE,
    )
    assert "Not measured" not in text
    assert str(bench) not in text
    assert socket.gethostname() not in text
    assert [path.name for path in (bench / "docs").iterdir()] == ["benchmarks.md"]


def test_failed_benchmark_leaves_the_page_as_it_was(bench: Path) -> None:
    with (bench / "benchmarks" / "first.py").open("a") as file:
        file.write("raise SystemExit(3)\n")
    done = _benchmark(bench, "--all", "--write")
    assert done.returncode == 1
    assert "Failed: first." in done.stderr
    assert "=== second" in done.stdout
    assert (bench / "docs" / "benchmarks.md").read_text() == "earlier\n"


def test_arguments_reach_the_benchmark(bench: Path) -> None:
    (bench / "benchmarks" / "first.py").write_text("import sys\nprint(sys.argv[1:])\n")
    assert "['3', '--fast']" in _benchmark(bench, "first", "--", "3", "--fast").stdout


def test_real_benchmark_becomes_a_section(capfd: pytest.CaptureFixture[str]) -> None:
    outputs = run_benchmarks.run_all(["runtime"], [])
    text = run_benchmarks.page({name: output or "" for name, output in outputs.items()}, date(2026, 11, 25))
    assert "Measured on 2026-11-25: " in text
    assert "Not measured in that run: `browser`, " in text
    assert "8 TPU chips" in text
    assert "8 TPU chips" in capfd.readouterr().out  # shown while it runs


def test_page_in_the_manual_names_what_was_not_measured() -> None:
    text = (REPOSITORY / "docs" / "benchmarks.md").read_text()
    assert text.startswith(run_benchmarks.HEAD)
    measured = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    missing = re.findall(
        r"`(\w+)`", next(iter(re.findall(r"^Not measured in that run: (.*)$", text, re.MULTILINE)), "")
    )
    assert sorted([*measured, *missing]) == run_benchmarks.names()


# The set-up of contributors


def test_pre_commit_runs_what_the_lane_lint_runs() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not in this environment")
    (repository,) = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    steps = [step for step in STEPS if step.lane == "lint"]
    prefix = "scripts/with-python scripts/environments.py run"
    assert [hook["entry"] for hook in repository["hooks"]] == [
        f"{prefix} {step.environment} {' '.join(step.command)}" for step in steps
    ]
    assert [
        hook
        for hook in repository["hooks"]
        if (hook["language"], hook["pass_filenames"]) != ("system", False)
    ] == []
    held = ENVIRONMENTS["newest"].constraints_file.read_text()
    for tool in ("ruff", "mypy"):
        assert re.search(rf"^{tool}==", held, re.MULTILINE)


def test_workflow_runs_what_continuous_integration_runs() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not in this environment")
    (path,) = (REPOSITORY / ".github" / "workflows").iterdir()
    (job,) = yaml.safe_load(path.read_text())["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert [command.split()[-1] for command in commands] == [".ci/run"]
    (pythons,) = (step["with"]["python-version"].split() for step in job["steps"] if "with" in step)
    assert {*pythons} == {environment.python for environment in ENVIRONMENTS.values()}


def test_issue_forms_ask_for_the_report_of_the_doctor() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not in this environment")
    folder = REPOSITORY / ".github" / "ISSUE_TEMPLATE"
    forms = {
        path.stem: yaml.safe_load(path.read_text()) for path in folder.glob("*.yml") if path.stem != "config"
    }
    assert set(forms) == {"problem", "idea"}
    for form in forms.values():
        assert {"name", "description", "body"} <= set(form)
        (report,) = (part for part in form["body"] if part.get("id") == "report")
        assert "`%hub_doctor --report`" in report["attributes"]["description"]
        assert report["attributes"]["render"] == "text"
    (required,) = (
        part["validations"]["required"] for part in forms["problem"]["body"] if part["id"] == "report"
    )
    assert required is True


@pytest.mark.index
def test_uv_installs_what_the_lane_newest_has(tmp_path: Path) -> None:
    pytest.importorskip("uv", reason="uv is not in this environment")
    groups = _pyproject()["dependency-groups"]
    included = {entry["include-group"] for entry in groups["dev"] if isinstance(entry, dict)}
    assert included == {*ENVIRONMENTS["newest"].groups}
    for name in ("hub_magic", "pyproject.toml", "README.md", "LICENSE"):
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    uv = (sys.executable, "-m", "uv", "--quiet", "--no-progress")
    _run(*uv, "lock", cwd=tmp_path)
    exported = _run(*uv, "export", "--frozen", "--no-hashes", "--no-annotate", "--no-header", cwd=tmp_path)
    names = {re.split(r"[=\s]", line)[0] for line in exported.splitlines()}
    assert {
        "pytest",
        "ruff",
        "mypy",
        "playwright",
        "mkdocs-material",
        "tensorflow",
        "tensorflow-hub",
    } <= names


def test_no_lock_of_uv_is_tracked() -> None:
    assert "uv.lock" not in _tracked()
    assert "uv.lock" in (REPOSITORY / ".gitignore").read_text().splitlines()
