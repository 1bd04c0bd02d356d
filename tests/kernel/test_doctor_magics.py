"""`%hub_doctor` in a notebook: what it returns, how it is shown, its help; and `%hub_mode --legacy-keras`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from care_cache import plant
from kernel import Kernel
from repository import REPOSITORY
from test_completion import complete

from hub_magic import diagnose
from hub_magic.render.doctor import diagnosis_html, diagnosis_text

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"


@pytest.mark.kernel
def test_doctor_magic_returns_a_diagnosis_as_text_and_html(tmp_path: Path) -> None:
    with Kernel(tmp_path / "k", TFHUB_CACHE="<b>/models</b>") as kernel:
        kernel.ok("%load_ext hub_magic")
        cell = kernel.ok("%hub_doctor")
        lines = cell.text.splitlines()
        assert lines[0].endswith(" fine.")
        fix = "import os; os.environ['TFHUB_CACHE_DIR'] = os.environ.pop('TFHUB_CACHE')"
        assert f"         fix: {fix}" in lines
        assert "<th " in cell.html
        assert "<details><summary>" in cell.html
        kernel.ok("found = %hub_doctor")
        assert kernel.value("'variables' in [one.name for one in found.problems]")
        assert kernel.value("found.to_data()['problems'][-1].keys() >= {'name', 'state', 'found', 'fix'}")
        report = kernel.ok("%hub_doctor --report")
        assert report.text.startswith("### hub_magic doctor\n")
        assert "<pre" in report.html
        assert complete(kernel, "%hub_doctor --on") == ["%hub_doctor --online"]
        assert set(complete(kernel, "%hub_doctor ")) >= {"%hub_doctor --online", "%hub_doctor --report"}
        assert complete(kernel, "%hub_mode --leg") == ["%hub_mode --legacy-keras"]


@pytest.mark.kernel
def test_doctor_help_names_its_options(kernel: Kernel) -> None:
    kernel.ok("%load_ext hub_magic")
    payload = kernel.client.execute_interactive("%hub_doctor?", output_hook=lambda _m: None, timeout=60)
    text = payload["content"]["payload"][0]["data"]["text/plain"]
    assert "Check for common problems" in text
    assert "--online" in text
    assert "--report" in text


@pytest.mark.tensorflow
@pytest.mark.kernel
def test_legacy_keras_after_tensorflow_needs_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "k"
    with Kernel(home) as kernel:
        kernel.ok("%load_ext hub_magic\nimport tensorflow")
        assert "Restart the kernel first" in kernel.value(LAYER)
        cell = kernel.run("%hub_mode --legacy-keras --persist")
        assert "TensorFlow is imported already, so tf.keras stays Keras 3. Restart the kernel" in cell.error
        assert kernel.value("'TF_USE_LEGACY_KERAS' in __import__('os').environ") is False
        kernel.ok("__import__('os').environ['TF_USE_LEGACY_KERAS'] = '1'")
        assert "was set after TensorFlow was imported" in kernel.value(LAYER)
    with Kernel(home) as kernel:  # the restart
        kernel.ok("%load_ext hub_magic")
        assert "tf.keras will be Keras 2" in kernel.value(LAYER)
        assert "--legacy-keras" not in kernel.ok("%hub_doctor").text
        kernel.ok(
            "import tensorflow as tf, tensorflow_hub as hub\n"
            "model = tf.keras.Sequential([hub.KerasLayer(lambda x: x + 1)])\n"
            "assert model(tf.zeros([1, 2])).numpy().tolist() == [[1, 1]]"
        )
        assert "tf.keras is Keras 2" in kernel.value(LAYER)
        assert kernel.ok("%hub_mode --legacy-keras").text.startswith("tf.keras is Keras 2")
        kernel.ok("%hub_mode --legacy-keras --forget")
        profile = home / "ipython/profile_default/ipython_config.json"
        assert json.loads(profile.read_text()) == {}
        kernel.ok("%unload_ext hub_magic")
        assert kernel.value("'TF_USE_LEGACY_KERAS' in __import__('os').environ") is False


LAYER = (
    "next(one.found for one in __import__('hub_magic').diagnose().findings if one.name == 'hub.KerasLayer')"
)


@pytest.mark.kernel
def test_legacy_keras_before_tensorflow_sets_the_variable(tmp_path: Path) -> None:
    """Without TensorFlow, and with a tf_keras that has nothing in it."""
    (tmp_path / "tf_keras").mkdir()
    (tmp_path / "tf_keras/__init__.py").write_text("")
    path = f"{REPOSITORY}{os.pathsep}{tmp_path}"
    with Kernel(tmp_path / "k", PYTHONPATH=path) as kernel:
        kernel.ok("%load_ext hub_magic")
        assert "Set for this session (TF_USE_LEGACY_KERAS)" in kernel.ok("%hub_mode --legacy-keras").text
        assert "cannot be combined" in kernel.run("%hub_mode offline --legacy-keras").error
        kernel.ok("import os")
        shown = kernel.ok("%hub_mode --legacy-keras --persist").text
        assert "For other programs: export TF_USE_LEGACY_KERAS=1" in shown
        assert "HubMagics.legacy_keras" in kernel.ok("%config HubMagics").stdout
        kernel.ok("%unload_ext hub_magic\nos.environ['TF_USE_LEGACY_KERAS'] = '0'\n%load_ext hub_magic")
        assert kernel.value("os.environ['TF_USE_LEGACY_KERAS']") == "0"  # which beats what is saved
        kernel.ok("del os.environ['TF_USE_LEGACY_KERAS']\n%reload_ext hub_magic")
        assert kernel.value("os.environ['TF_USE_LEGACY_KERAS']") == "1"
        kernel.ok("%unload_ext hub_magic")
        assert kernel.value("'TF_USE_LEGACY_KERAS' in os.environ") is False


def test_legacy_keras_command_prints_the_line() -> None:
    def mode(*words: str) -> str:
        command = [sys.executable, "-m", "hub_magic", "mode", *words]
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    assert mode("--legacy-keras") == "export TF_USE_LEGACY_KERAS=1\n"
    assert mode("offline", "--legacy-keras").splitlines()[-1] == "export TF_USE_LEGACY_KERAS=1"


def test_diagnose_function_returns_the_findings(tmp_path: Path) -> None:
    plant(tmp_path, NNLM)
    found = diagnose(env={"TFHUB_CACHE_DIR": str(tmp_path), "tfhub_cache_dir": "\x1b[31m<i>"})
    text, html = diagnosis_text(found), diagnosis_html(found)
    assert "\x1b" not in text
    assert "<i>" not in html
    data = json.loads(found.to_json())
    assert [one["name"] for one in data["problems"]] == [one.name for one in found.problems]
    assert {one.state for one in found.findings} <= {"problem", "warning", "unknown", "fine"}
    assert all("\n" not in line for line in (one.fix for one in found.findings))
