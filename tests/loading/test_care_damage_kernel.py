"""Damage that meets `hub.load` in a real kernel: what the user is told, and that the command it names mends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import damages
import pytest
from damages import DATA, GRAPH, INDEX, VOCABULARY, cut, empty, failed, flip, remove
from faulty_host import FaultyHost
from kernel import Kernel

host = damages.host  # a fixture

pytestmark = [pytest.mark.kernel, pytest.mark.tensorflow, pytest.mark.thorough]


# Every function of TensorFlow and tensorflow_hub that is replaced, under every name.
FUNCTIONS = """
import sys
def functions():
    return {
        (name, function): id(getattr(module, function))
        for name, module in sys.modules.items()
        if name.startswith("tensorflow")
        for function in ("load", "load_partial")
        if (name.endswith("saved_model.load") or "__internal__.saved_model" in name or name.startswith("tensorflow_hub"))
        and callable(getattr(module, function, None))
    }
"""


def load_path(_handle: str, path: str) -> str:
    return f"tf.saved_model.load({path + '/'!r}, tags=tags)"


def hub_load_path(_handle: str, path: str) -> str:
    return f"hub.load({path!r})"


def hub_load(handle: str, _path: str) -> str:
    return f"hub.load({handle!r})"


def keras_layer(handle: str, _path: str) -> str:
    return f"hub.KerasLayer({handle!r})"


Case = tuple[Callable[[Path], None], str, Callable[[str, str], str]]
# What a look at names and sizes does not show; all else `hub.load` mends by itself before TensorFlow sees it.
HIDDEN: list[Case] = [(flip, DATA, hub_load), (flip, DATA, keras_layer), (flip, INDEX, hub_load)]
CASES: list[Case] = [
    *((change, name, load_path) for change in (remove, empty, cut, flip) for name in (INDEX, DATA)),
    *((change, GRAPH, way) for change in (remove, empty, cut) for way in (load_path, hub_load_path)),
    (remove, VOCABULARY, load_path),
    *HIDDEN,
]


@pytest.fixture
def notebook(tensorflow_kernel: Kernel) -> Kernel:
    tensorflow_kernel.ok("%load_ext hub_magic\n%hub_cache ./models")
    tensorflow_kernel.ok("import tensorflow as tf, tensorflow_hub as hub")
    return tensorflow_kernel


def resolved(notebook: Kernel, handle: str) -> str:
    """The directory of a model that was downloaded just now."""
    path = notebook.value(f"hub.resolve({handle!r})")
    # As `hub.load` asks for a model of the TF1 Hub format.
    notebook.ok(f"tags = [] if tf.io.gfile.exists({path!r} + '/tfhub_module.pb') else None")
    return path


@pytest.mark.parametrize("host", ["tf2_vocabulary", "tf1_hub"], indirect=True)
def test_each_damage_names_its_repair_command(notebook: Kernel, host: FaultyHost) -> None:
    handle = f"{host.url}/google/model/1"
    path = resolved(notebook, handle)
    for change, name, way in CASES:
        case = f"{change.__name__} {name}, {way.__name__}"
        if way is keras_layer and not notebook.value("'tf_keras' in __import__('sys').modules"):
            continue
        change(Path(path, name))
        cell = failed(notebook, way(handle, path))
        (error,) = cell.errors
        assert error["ename"] == "DamagedEntryError", case
        (line,) = error["traceback"]
        assert line.startswith(f"DamagedEntryError: {handle}: "), case
        assert line.endswith(f"; this cached copy is damaged: run `%hub_cache --repair {handle}`"), case
        assert "\n" not in line, case
        (command,) = re.findall(r"run `(.+)`$", line)
        assert "1 downloaded again" in notebook.ok(command).text, case
        notebook.ok(way(handle, path))


def test_damage_error_is_also_tensorflows_error(notebook: Kernel, host: FaultyHost) -> None:
    """Ours, or TensorFlow's own: a program that was written for that one goes on working."""
    handle = f"{host.url}/google/model/1"
    path = notebook.value(f"hub.resolve({handle!r})")
    flip(Path(path, DATA))
    for kind in ("hub_magic.DamagedEntryError", "hub_magic.HubMagicError", "tf.errors.OpError"):
        notebook.ok(
            f"import hub_magic\ntry:\n    hub.load({handle!r})\nexcept {kind} as error:\n    caught = error\n"
            "else:\n    caught = None"
        )
        assert "do not match their checksum" in notebook.value("str(caught)")
        assert notebook.value("isinstance(caught.__cause__, tf.errors.OpError)")
        assert notebook.value("caught.error_code == caught.__cause__.error_code")


def test_other_errors_pass_unchanged(notebook: Kernel, host: FaultyHost) -> None:
    handle = f"{host.url}/google/model/1"
    cell = failed(notebook, f"hub.load({handle!r}, tags=['nobody'])")
    assert cell.errors[0]["ename"] in {"RuntimeError", "ValueError"}
    assert len(cell.errors[0]["traceback"]) > 1
    path = notebook.value(f"hub.resolve({handle!r})")
    copy = notebook.home / "work/copy"
    notebook.ok(f"import shutil; shutil.copytree({path!r}, {str(copy)!r})")
    flip(copy / DATA)
    # A model that is in no cache is nobody's to repair.
    cell = failed(notebook, f"hub.load({str(copy)!r})")
    assert cell.errors[0]["ename"] in {"OpError", "DataLossError"}
    assert "repair" not in cell.error
    # Files of another sort are no damaged model.
    (copy / GRAPH).unlink()
    (copy / DATA).unlink()
    (copy / INDEX).unlink()
    (copy / "variables").rmdir()
    (copy / "tfhub_module.pb").unlink(missing_ok=True)
    other = "https://tfhub.dev/google/lite/1"
    entry = notebook.ok(f"%hub_cache --add {other} {copy}\npath = %hub_cache --resolve {other}\npath").text
    cell = failed(notebook, f"hub.load({other!r})")
    assert "contains neither" in cell.error
    assert cell.errors[0]["ename"] == "ValueError", entry


def test_damage_in_another_cache_names_that_cache(notebook: Kernel, host: FaultyHost) -> None:
    handle = f"{host.url}/google/model/1"
    path = resolved(notebook, handle)
    flip(Path(path, DATA))
    notebook.ok("%hub_cache ./elsewhere")
    line = failed(notebook, f"tf.saved_model.load({path!r}, tags=tags)").error
    assert f" in {Path(path).parent}, which `%hub_cache {Path(path).parent}` sets; this cached" in line
    for command in re.findall(r"`(%.+?)`", line):
        notebook.ok(command)
    notebook.ok(f"tf.saved_model.load({path!r}, tags=tags)")


def test_model_loaded_without_tensorflow_hub_is_kept(tensorflow_kernel: Kernel, host: FaultyHost) -> None:
    tensorflow_kernel.ok("%load_ext hub_magic\n%hub_cache ./models\nimport tensorflow as tf")
    tensorflow_kernel.ok(f"path = %hub_cache --resolve {host.url}/google/model/1")
    tags = "tags=[] if tf.io.gfile.exists(path + '/tfhub_module.pb') else None"
    tensorflow_kernel.ok(f"model = tf.saved_model.load(path, {tags})")
    assert tensorflow_kernel.value("'tensorflow_hub' in __import__('sys').modules") is False
    assert "loaded in this kernel" in tensorflow_kernel.ok("%hub_cache --remove google/model").text


def test_entry_removed_during_loading_is_downloaded_again(notebook: Kernel, host: FaultyHost) -> None:
    """Another process removes the entry after it was resolved: it is downloaded again, and loaded."""
    handle = f"{host.url}/google/model/1"
    path = notebook.value(f"hub.resolve({handle!r})")
    notebook.ok(
        "from tensorflow_hub import module_v2\n"
        "resolve, times = module_v2.resolve, []\n"
        "def pruned(handle):\n"
        "    path = resolve(handle)\n"
        "    times.append(path)\n"
        "    if len(times) <= most:\n"
        "        shutil.rmtree(path)\n"
        "        os.unlink(path + '.descriptor.txt')\n"
        "    return path\n"
        "import os, shutil\n"
        "module_v2.resolve = pruned\n"
        "most = 1"
    )
    cell = notebook.ok(f"model = hub.load({handle!r})")
    assert (
        f"{handle} was removed by another process while it was being loaded. Loading it again." in cell.stderr
    )
    assert notebook.value("times") == [path, path]
    notebook.ok("most = 9")
    cell = failed(notebook, f"hub.load({handle!r})")
    assert cell.error == (
        f"RemovedEntryError: {handle} was removed by another process while it was being loaded. Load it again."
    )
    assert notebook.value("len(times)") == 4
    notebook.ok("module_v2.resolve = resolve")
    notebook.ok(f"hub.load({handle!r})")


def test_unload_leaves_the_functions_that_were_found(tensorflow_kernel: Kernel) -> None:
    tensorflow_kernel.ok(
        "%load_ext hub_magic\nimport tensorflow as tf, tensorflow_hub as hub\n%unload_ext hub_magic"
    )
    tensorflow_kernel.ok(FUNCTIONS)
    before = tensorflow_kernel.value("functions()")
    assert len(before) >= 7
    assert tensorflow_kernel.value(
        "{hub.load.__module__, tf.__internal__.saved_model.load_partial.__module__}"
    ) == {
        "tensorflow_hub.module_v2",
        "tensorflow.python.saved_model.load",
    }
    tensorflow_kernel.ok("%load_ext hub_magic")
    # TensorFlow's function under three names; tensorflow_hub's stay the objects that they were.
    assert len(set(before.items()) - set(tensorflow_kernel.value("functions()").items())) == 3
    tensorflow_kernel.ok("%reload_ext hub_magic")
    tensorflow_kernel.ok("import importlib; importlib.reload(hub)")
    tensorflow_kernel.ok("%unload_ext hub_magic")
    assert tensorflow_kernel.value("functions()") == before


def test_unload_inside_a_worker_cell_restores_functions(tensorflow_kernel: Kernel) -> None:
    tensorflow_kernel.ok(f"%load_ext hub_magic\nimport tensorflow as tf, tensorflow_hub as hub\n{FUNCTIONS}")
    tensorflow_kernel.ok("%unload_ext hub_magic")
    before = tensorflow_kernel.value("functions()")
    tensorflow_kernel.ok("%load_ext hub_magic")
    tensorflow_kernel.ok("%%hub_tpu --via uncompressed\n%unload_ext hub_magic")
    assert tensorflow_kernel.value("functions()") == before
    tensorflow_kernel.ok(
        "from hub_magic import detect_runtime, loading_for, plan_load, read_cache, read_mode"
    )
    tensorflow_kernel.ok(
        "plan = plan_load(detect_runtime(), cache=read_cache(), mode=read_mode(), via='uncompressed')"
    )
    tensorflow_kernel.ok("with loading_for(plan):\n    %load_ext hub_magic")
    tensorflow_kernel.ok("with loading_for(plan):\n    %unload_ext hub_magic")
    assert tensorflow_kernel.value("functions()") == before
