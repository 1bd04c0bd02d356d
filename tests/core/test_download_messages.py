"""What a user is told who gives `hub.load` or `--fetch` a path that leads to no model."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_magic.download.messages import add_line, explain_path


@pytest.mark.parametrize(
    ("handle", "advice"),
    [
        ("google/yamnet/1", "Use the full URL, e.g. https://tfhub.dev/google/yamnet/1."),
        ("google/yamnet", "e.g. https://tfhub.dev/google/yamnet."),
        ("tfhub.dev/google/yamnet/1", "e.g. https://tfhub.dev/google/yamnet/1."),
        (
            "www.kaggle.com/models/google/yamnet/tensorFlow2/yamnet/1",
            "e.g. https://www.kaggle.com/models/google/",
        ),
        ("localhost:8000/a/b/1", "e.g. https://localhost:8000/a/b/1."),
        ("https:/tfhub.dev/google/yamnet/1", "Use https://tfhub.dev/google/yamnet/1."),
        ("https//tfhub.dev/google/yamnet/1", "Use https://tfhub.dev/google/yamnet/1."),
        ("http:tfhub.dev/google/yamnet/1", "Use http://tfhub.dev/google/yamnet/1."),
        (" https://tfhub.dev/google/yamnet/1", "Use 'https://tfhub.dev/google/yamnet/1'."),
        ("yamnet", "e.g. https://HOST/PUBLISHER/MODEL/VERSION."),
        ("./models/yamnet", "'./models/yamnet' does not exist. The current directory is "),
        ("model.tar.gz", "'model.tar.gz' does not exist. The current directory is "),
        ("gs://bucket/model", ""),
        ("x" * 5000, ""),
    ],
)
def test_missing_path_is_told_what_to_type(
    handle: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = explain_path(handle)
    assert advice in line
    assert bool(line) == bool(advice)
    assert "\n" not in line


def test_path_near_a_model_names_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    inner = tmp_path / "download/model"
    inner.mkdir(parents=True)
    (inner / "saved_model.pb").write_bytes(b"graph")
    assert explain_path("download") == "The model is one folder down. Load 'download/model'."
    assert explain_path("download/model/saved_model.pb").endswith("Load its folder, 'download/model'.")
    assert explain_path("~/download/model") == f"'~' is not expanded here. Use '{inner}'."
    (tmp_path / "download/other").mkdir()
    (tmp_path / "download/other/saved_model.pbtxt").write_text("meta_graphs {}")
    assert "2 models are one folder down" in explain_path("download")
    (tmp_path / "my model.tar.gz").write_bytes(b"archive")
    assert explain_path("my model.tar.gz").endswith('MODEL/VERSION "my model.tar.gz"')
    assert explain_path("download/model") == ""


def test_added_line_keeps_the_error() -> None:
    error = OSError("x does not exist.")
    add_line(error, "Use y.")
    add_line(error, "Use y.")
    assert str(error) == "x does not exist.\nUse y."
