"""`hub.load` of what is no handle: tensorflow_hub's own class of error, and one more line that says what to type."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from archives import model_archive
from both_sides import run_side
from faulty_host import FaultyHost
from saved_models import model_files, saved_model

pytestmark = pytest.mark.tensorflow

TRY = """
for handle in sys.argv[1:]:
    for act in (hub.load, hub.resolve, hub.KerasLayer):
        try:
            act(handle)
        except Exception as error:
            answer([type(error).__name__, str(error).splitlines()])
        else:
            answer(["", []])
"""


def test_wrong_handle_keeps_the_librarys_error_and_gets_one_line(tmp_path: Path) -> None:
    model = saved_model("tf2_plain")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model").symlink_to(model)
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(model, ".")
    files = {f"inner/{name}": data for name, data in model_files("tf2_plain").items()}
    with FaultyHost(model_archive(files)) as host:
        nested = f"{host.url}/google/nested/1"
        handles = ["google/yamnet/1", "tfhub.dev/google/yamnet/1", str(archive), str(folder), nested]
        where = {"TFHUB_CACHE_DIR": str(tmp_path / "cache"), "TF_USE_LEGACY_KERAS": "1"}
        plain = run_side(TRY, *handles, with_extension=False, **where).answers
        ours = run_side(TRY, *handles, with_extension=True, **where).answers
    assert [one[0] for one in ours] == [one[0] for one in plain]
    assert [one[1][: len(theirs[1])] for one, theirs in zip(ours, plain, strict=True)] == [
        one[1] for one in plain
    ]
    added = [one[1][len(theirs[1]) :] for one, theirs in zip(ours, plain, strict=True)]
    assert all(len(lines) == bool(one[0]) for lines, one in zip(added, ours, strict=True))
    loads = added[::3]
    assert "https://tfhub.dev/google/yamnet/1" in loads[0][0]
    assert "https://tfhub.dev/google/yamnet/1" in loads[1][0]
    assert "%hub_cache --add" in loads[2][0]
    assert loads[3] == [f"The model is one folder down. Load '{folder / 'model'}'."]
    assert loads[4] == [f'The model is one folder down. Use hub.load(hub.resolve("{nested}") + "/inner").']
