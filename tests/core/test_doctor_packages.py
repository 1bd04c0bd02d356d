"""What `import tensorflow_hub` needs: in an environment of its own, whose packages come and go with pip."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from doctor_rig import Findings, Shell, mended

from hub_magic import Finding

# Name, version, modules: packages of these names with nothing in them, so that pip has something to install.
WHEELS = (
    ("tensorflow", "2.21.0", "tensorflow"),
    ("tensorflow_cpu", "2.20.0", "tensorflow"),
    ("tensorflow_tpu", "2.20.0", "tensorflow"),
    ("libtpu", "0.0.14", "libtpu"),
    ("libtpu", "0.0.40", "libtpu"),
    ("tensorflow_hub", "0.16.1", "tensorflow_hub"),
    ("tf_keras", "2.20.1", "tf_keras"),
    ("tf_keras", "2.21.0", "tf_keras"),
    ("tf_keras", "2.22.0", "tf_keras"),
    ("keras", "3.15.1", "keras"),
    ("setuptools", "81.0.0", "setuptools pkg_resources"),
    ("setuptools", "84.2.1", "setuptools"),
    ("ipywidgets", "7.6.0", "ipywidgets"),
    ("ipywidgets", "8.1.9", "ipywidgets"),
    ("anywidget", "0.11.0", "anywidget"),
    ("jupyterlab_widgets", "3.0.17", "jupyterlab_widgets"),
    ("jupyterlab", "4.6.6", "jupyterlab"),
)
EXTENSIONS = {
    "jupyterlab_widgets": "@jupyter-widgets/jupyterlab-manager",
    "anywidget": "anywidget",
}
# What the doctor says to a notebook whose kernel runs in that environment.
IN_NOTEBOOK = """
import json
from hub_magic import diagnose
class ZMQInteractiveShell: pass
print(diagnose(shell=ZMQInteractiveShell).to_json())
"""


def write_wheel(folder: Path, name: str, version: str, modules: Iterable[str]) -> None:
    """The smallest wheel that pip installs."""
    info = f"{name}-{version}.dist-info"
    files: dict[str, str] = {f"{module}/__init__.py": "" for module in modules}
    if extension := EXTENSIONS.get(name):
        files[f"{name}-{version}.data/data/share/jupyter/labextensions/{extension}/package.json"] = "{}"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)


class Environment(Shell):
    """A shell in a virtual environment, with pip and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.prefix = folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(self.prefix)], check=True)
        self.site = next(self.prefix.glob("lib/python*/site-packages"))
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        for name, version, modules in WHEELS:
            write_wheel(self.wheels, name, version, modules.split())
        super().__init__(folder, str(folder / "venv/bin/python"))
        del self.env["PYTHONWARNINGS"]  # pip's own are its own
        self.env |= {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        self.env["PATH"] = f"{folder / 'venv/bin'}:{self.env['PATH']}"
        self.plain = dict(self.env)

    def have(self, *packages: str) -> None:
        """Have these packages, and no others of those above."""
        self.env = dict(self.plain)
        for name, _, modules in WHEELS:
            for path in (*map(self.site.joinpath, modules.split()), *self.site.glob(f"{name}-*.dist-info")):
                shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self.prefix / "share", ignore_errors=True)
        for package in packages:
            name, _, version = package.partition("==")
            wheel = next(self.wheels.glob(f"{name.replace('-', '_')}-{version}*.whl"))
            with zipfile.ZipFile(wheel) as files:  # sooner done than with pip
                files.extractall(self.site)
            for data in self.site.glob("*.data/data"):
                shutil.copytree(data, self.prefix, dirs_exist_ok=True)
                shutil.rmtree(data.parent)


class InNotebook:
    """The same environment, as a notebook's kernel sees it."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def look(self) -> Findings:
        done = self.environment._run([self.environment.python, "-c", IN_NOTEBOOK])
        assert done.stderr == ""
        return Findings(Finding(**one) for one in json.loads(done.stdout)["findings"])

    def do(self, line: str) -> None:
        assert line.startswith("%pip ")
        self.environment.do(f"{self.environment.python} -m pip {line.removeprefix('%pip ')}")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment").resolve())


BOTH = ("tensorflow==2.21.0", "tensorflow-hub")


def test_missing_tensorflow_and_tensorflow_hub_are_fixed(environment: Environment) -> None:
    environment.have()
    mended(environment, "TensorFlow", "problem", says="not installed")
    mended(environment, "tensorflow_hub", "problem", says="not installed")


def test_missing_pkg_resources_is_fixed(environment: Environment) -> None:
    environment.have(*BOTH)
    mended(environment, "pkg_resources", "problem", says="setuptools is not installed")
    environment.have(*BOTH, "setuptools==84.2.1")
    mended(environment, "pkg_resources", "problem", says="setuptools 84.2.1 has no pkg_resources")


def test_missing_tf_keras_is_fixed_with_the_matching_version(environment: Environment) -> None:
    environment.have(*BOTH)
    code = "from hub_magic import use_legacy_keras; use_legacy_keras()"
    assert (
        "tf_keras, which is Keras 2, is not installed"
        in environment._run([environment.python, "-c", code]).stderr
    )
    found = mended(environment, "tf_keras", "problem", says="is not installed")
    assert '"tf-keras~=2.21.0"' in found.fix
    assert environment.look().the("tf_keras").found == "tf_keras 2.21.0"


@pytest.mark.parametrize("version", ["2.20.1", "2.22.0"])
def test_tf_keras_for_another_tensorflow_is_fixed(environment: Environment, version: str) -> None:
    environment.have(*BOTH, f"tf-keras=={version}")
    mended(environment, "tf_keras", "problem", says=f"tf_keras {version} is not for TensorFlow 2.21.0")
    assert environment.look().the("tf_keras").found == "tf_keras 2.21.0"


def test_keras_layer_with_keras_3_is_fixed(environment: Environment) -> None:
    environment.have(*BOTH, "keras", "tf-keras==2.21.0")
    found = mended(environment, "hub.KerasLayer", "warning", says="tf.keras is Keras 3.15.1")
    assert found.fix == "export TF_USE_LEGACY_KERAS=1"
    environment.have(*BOTH, "keras")
    environment.set({"TF_USE_LEGACY_KERAS": "1"})
    mended(environment, "hub.KerasLayer", "problem", says="requires tf_keras, which is not installed")


def test_build_that_cannot_drive_the_tpu_is_replaced(environment: Environment) -> None:
    environment.have("tensorflow-cpu")
    environment.set({"COLAB_TPU_1VM": "1", "TPU_ACCELERATOR_TYPE": "v5e-1"})
    found = environment.look().the("runtime")
    assert found.state == "problem"
    assert "TPU v5e, worker local; tensorflow-cpu 2.20.0 cannot use it" in found.found
    environment.do(found.fix)
    after = environment.look()
    assert after.the("runtime").state == "warning"  # no chip is seen, and no line puts one in
    assert after.the("TensorFlow").found == "tensorflow-tpu 2.20.0"


def test_missing_tensorflow_on_a_tpu_gets_a_tpu_build(environment: Environment) -> None:
    environment.have()
    environment.set({"ISTPUVM": "1", "TPU_ACCELERATOR_TYPE": "v5litepod-8"})
    mended(environment, "TensorFlow", "problem")
    assert environment.look().the("runtime").state == "warning"


WIDGETS = ("ipywidgets==8.1.9", "anywidget", "jupyterlab", "jupyterlab-widgets")


@pytest.mark.parametrize(
    ("packages", "says"),
    [
        (WIDGETS[1:], "ipywidgets is not installed"),
        (("ipywidgets==7.6.0", *WIDGETS[1:]), "ipywidgets 7.6.0 is too old"),
        ((WIDGETS[0], *WIDGETS[2:]), "anywidget is not installed"),
        (WIDGETS[:3], "lacks the extension of jupyterlab-widgets"),
    ],
)
def test_missing_widget_packages_are_fixed(
    environment: Environment, packages: tuple[str, ...], says: str
) -> None:
    environment.have(*packages)
    mended(InNotebook(environment), "widgets", "problem", says=says)


def test_extension_of_another_environment_is_reported(environment: Environment) -> None:
    environment.have("ipywidgets==8.1.9", "anywidget")
    assert "the server runs in another environment" in InNotebook(environment).look().the("widgets").found
    environment.set({"COLAB_RELEASE_TAG": "release"})
    assert InNotebook(environment).look().the("widgets").state == "fine"


def test_versions_finding_lists_installed_packages(environment: Environment) -> None:
    environment.have(*BOTH, "keras")
    found: Mapping[str, str] = dict(
        one.rsplit(" ", 1) for one in environment.look().the("versions").found.split(", ")[:-1]
    )
    assert found["tensorflow"] == "2.21.0"
    assert found["tensorflow-hub"] == "0.16.1"
    assert found["keras"] == "3.15.1"
