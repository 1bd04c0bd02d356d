"""`%load_ext`, `%unload_ext`, and what is saved between sessions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kernel import Kernel

pytestmark = pytest.mark.kernel

# Everything of a session that an extension could leave a trace in.
STATE = """
import os, sys
def state():
    shell = get_ipython()
    return {
        "magics": {kind: sorted(found) for kind, found in shell.magics_manager.magics.items()},
        "registry": sorted(shell.magics_manager.registry),
        "configurables": [type(one).__name__ for one in shell.configurables],
        "transformers": [len(shell.input_transformers_cleanup), len(shell.input_transformers_post)],
        "events": {name: len(found) for name, found in shell.events.callbacks.items()},
        "formatters": {
            name: sorted(map(str, [*one.type_printers, *one.deferred_printers]))
            for name, one in shell.display_formatter.formatters.items()
        },
        "environment": dict(os.environ),
        "finders": [str(type(one)) for one in sys.meta_path],
        "resolvers": len(sys.modules["tensorflow_hub.registry"].resolver._impls)
        if "tensorflow_hub" in sys.modules
        else 0,
        "names": sorted(name for name in shell.user_ns if not name.startswith("_")),
        "config": str(shell.config),
    }
"""


def test_load_unload_load_leaves_no_trace(kernel: Kernel) -> None:
    kernel.ok(STATE)
    kernel.run("%load_ext storemagic")  # IPython registers the magic %load_ext itself when it is first used
    before = kernel.value("state()")
    kernel.ok("%load_ext hub_magic\n%hub_mode offline\n%hub_cache ./here")
    loaded = kernel.value("state()")
    assert loaded != before
    kernel.ok("%unload_ext hub_magic")
    assert kernel.value("state()") == before
    kernel.ok("%load_ext hub_magic\n%hub_mode offline\n%hub_cache ./here")
    assert kernel.value("state()") == loaded
    kernel.ok("%reload_ext hub_magic")
    kernel.ok("%unload_ext hub_magic")
    assert kernel.value("state()") == before


@pytest.mark.tensorflow
def test_unload_after_tensorflow_hub_leaves_no_trace(tensorflow_kernel: Kernel) -> None:
    tensorflow_kernel.ok(STATE)
    tensorflow_kernel.ok("%load_ext hub_magic\nimport tensorflow_hub\n%unload_ext hub_magic")
    before = tensorflow_kernel.value("state()")
    tensorflow_kernel.ok("%load_ext hub_magic\n%hub_mode uncompressed\n%unload_ext hub_magic")
    assert tensorflow_kernel.value("state()") == before


@pytest.mark.tensorflow
def test_tensorflow_hub_imports_without_pkg_resources(tensorflow_kernel: Kernel) -> None:
    """Hidden for the kernel where this environment has it, so that the mend is shown in every lane."""
    tensorflow_kernel.ok(
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'pkg_resources': raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Hide())"
    )
    failed = tensorflow_kernel.run("import tensorflow_hub")
    assert failed.errors[0]["ename"] == "ModuleNotFoundError"
    tensorflow_kernel.ok("%load_ext hub_magic\nimport tensorflow_hub")
    assert tensorflow_kernel.value("'pkg_resources' in sys.modules") is False
    assert tensorflow_kernel.value("tensorflow_hub.__spec__.loader.__class__.__name__") == "SourceFileLoader"


def test_unload_keeps_variables_set_by_the_user(kernel: Kernel) -> None:
    kernel.ok("import os\nos.environ['TFHUB_CACHE_DIR'] = '/first'\n%load_ext hub_magic\n%hub_cache ./here")
    kernel.ok("os.environ['TFHUB_CACHE_DIR'] = '/mine'\n%unload_ext hub_magic")
    assert kernel.value("os.environ['TFHUB_CACHE_DIR']") == "/mine"
    kernel.ok("%load_ext hub_magic\n%hub_cache ./here\n%unload_ext hub_magic")
    assert kernel.value("os.environ['TFHUB_CACHE_DIR']") == "/mine"


def test_misread_variable_is_corrected(tmp_path: Path) -> None:
    with Kernel(
        tmp_path / "k", HOME=str(tmp_path), TFHUB_MODEL_LOAD_FORMAT="uncompressed", TFHUB_CACHE_DIR="~/models"
    ) as kernel:
        kernel.ok("%load_ext hub_magic\nimport os")
        assert kernel.value("os.environ['TFHUB_MODEL_LOAD_FORMAT']") == "UNCOMPRESSED"
        assert kernel.value("os.environ['TFHUB_CACHE_DIR']") == str(tmp_path / "models")
        kernel.ok("%unload_ext hub_magic")
        assert kernel.value("os.environ['TFHUB_CACHE_DIR']") == "~/models"


def test_saved_settings_apply_until_forgotten(tmp_path: Path) -> None:
    home = tmp_path / "k"
    profile = home / "ipython" / "profile_default" / "ipython_config.json"
    with Kernel(home) as kernel:
        kernel.ok("%load_ext hub_magic")
        assert "Saved in this IPython profile" in kernel.ok("%hub_mode offline --persist").text
        assert "Saved in this IPython profile" in kernel.ok("%hub_cache ./kept --persist --autoload").text
        assert "export TFHUB_CACHE_DIR=" in kernel.ok("%hub_cache --persist").text
    kept = str(home / "work" / "kept")
    saved = json.loads(profile.read_text())
    assert saved["HubMagics"] == {"mode": "offline", "cache": kept}
    with Kernel(home) as kernel:
        assert "hub_magic" in kernel.value("sorted(get_ipython().extension_manager.loaded)")
        assert kernel.ok("%hub_mode").text.startswith("offline")
        assert kernel.value("__import__('os').environ['TFHUB_CACHE_DIR']") == kept
        assert "HubMagics.cache" in kernel.ok("%config HubMagics").stdout
        assert kernel.ok("%hub_mode --forget").text.startswith("offline")
        kernel.ok("%hub_cache --forget")
    assert json.loads(profile.read_text()) == {}
    with Kernel(home) as kernel:
        assert "hub_magic" not in kernel.value("sorted(get_ipython().extension_manager.loaded)")


def test_the_environment_beats_what_is_saved(tmp_path: Path) -> None:
    home = tmp_path / "k"
    with Kernel(home) as kernel:
        kernel.ok("%load_ext hub_magic\n%hub_mode offline --persist")
    with Kernel(home, TFHUB_MODEL_LOAD_FORMAT="UNCOMPRESSED") as kernel:
        kernel.ok("%load_ext hub_magic")
        assert kernel.ok("%hub_mode").text.startswith("uncompressed")


def test_other_settings_of_the_profile_are_kept(tmp_path: Path) -> None:
    home = tmp_path / "k"
    with Kernel(home) as kernel:
        profile = home / "ipython" / "profile_default" / "ipython_config.json"
        profile.write_text(json.dumps({"InteractiveShell": {"show_rewritten_input": False}}))
        kernel.ok("%load_ext hub_magic\n%hub_mode offline --persist")
        assert json.loads(profile.read_text())["InteractiveShell"] == {"show_rewritten_input": False}
        profile.write_text("{ broken")
        cell = kernel.run("%hub_mode compressed --persist")
        assert "cannot be read" in cell.error
        assert profile.read_text() == "{ broken"
