"""Models read from their host's own bucket by this kernel, with real TensorFlow and one line for each failure."""

from __future__ import annotations

from pathlib import Path

import gcs_rig
import pytest
from gcs_stand_in import GcsStandIn
from host_client import FILES, write_model
from kernel import Kernel

from hub_magic.host import ModelHost

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel]
storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures
OPEN = "gs://open-models/model"

IMPORTS = """
%load_ext hub_magic
import os, sys
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import tensorflow as tf, tensorflow_hub as hub
%hub_mode uncompressed
"""


def test_uncompressed_mode_loads_from_open_buckets_only(gcs: GcsStandIn, tmp_path: Path) -> None:
    gcs.create_bucket("open-models", public=True)
    gcs.create_bucket("closed-models")
    gcs.put("gs://closed-models/model/saved_model.pb", b"1")
    for name, data in FILES.items():
        gcs.put(f"{OPEN}/{name}", data)
    write_model(tmp_path / "served" / "team" / "archive" / "1")
    folders = {
        "team/open/1": OPEN,
        "team/closed/1": "gs://closed-models/model",
        "team/empty/1": "gs://open-models/nothing",
    }
    environment = gcs.environment(tmp_path, token="")
    with (
        ModelHost(tmp_path / "served", gcs=folders) as host,
        Kernel(tmp_path / "kernel", **environment) as kernel,
    ):
        kernel.ok(IMPORTS)
        assert kernel.ok(f"hub.resolve('{host.url}/team/open/1')").text == f"'{OPEN}'"
        assert kernel.ok(f"%hub_cache --resolve {host.url}/team/open/1").text == f"'{OPEN}'"
        failures = {
            "closed": "is not readable for this kernel",
            "empty": "is empty",
            "archive": "has no bucket folder for",
            "nobody": "has no bucket folder for",
        }
        for name, said in failures.items():
            cell = kernel.run(f"hub.resolve('{host.url}/team/{name}/1')")
            assert cell.status == "error"
            assert said in cell.error, name
            assert len(cell.error.strip().splitlines()) == 1, cell.error
        kernel.ok("%hub_mode compressed")
        assert "tfhub_modules" in kernel.ok(f"hub.resolve('{host.url}/team/archive/1')").text
