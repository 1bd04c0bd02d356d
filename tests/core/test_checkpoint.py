"""The index of a checkpoint: the data files that TensorFlow will read, and nothing from a hostile file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saved_models import saved_model

from hub_magic.cache.checkpoint import needed_data
from hub_magic.cache.savedmodel import NotReadableError


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["tf2_plain", "tf2_sharded", "tf1_hub", "tf2_vocabulary"])
def test_data_files_are_those_that_tensorflow_wrote(kind: str) -> None:
    variables = saved_model(kind) / "variables"
    found = {path.name: path.stat().st_size for path in variables.glob("variables.data-*")}
    assert needed_data(f"{variables}/variables.index") == found


@pytest.mark.tensorflow
def test_changed_index_is_refused_or_read(tmp_path: Path) -> None:
    index = (saved_model("tf2_plain") / "variables/variables.index").read_bytes()
    changed = tmp_path / "variables.index"
    for place in range(len(index)):
        changed.write_bytes(index[:place] + bytes([index[place] ^ 0x55]) + index[place + 1 :])
        with suppress(NotReadableError):
            needed_data(str(changed))
    for length in range(len(index)):
        changed.write_bytes(index[:length])
        with pytest.raises(NotReadableError):
            needed_data(str(changed))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_one_way(tmp_path: Path, content: bytes) -> None:
    index = tmp_path / "variables.index"
    for end in (b"", (0xDB4775248B80FB57).to_bytes(8, "little")):
        index.write_bytes(content + end)
        with suppress(NotReadableError):
            assert all(size >= 0 for size in needed_data(str(index)).values())
