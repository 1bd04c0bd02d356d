"""The line of code that the browser offers for a model, and why its signatures are not known."""

from __future__ import annotations

from pathlib import Path

import pytest
from care_cache import WHOLE, plant
from test_care_savedmodel import field

from hub_magic import scan_cache
from hub_magic.widget.details import describe, load_line, tags_of

HANDLE = "https://tfhub.dev/google/model/1"


def graph(*tags: bytes) -> bytes:
    return field(2, field(1, b"".join(field(4, tag) for tag in tags)))


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (WHOLE, f'hub.load("{HANDLE}")'),
        ({"model.tflite": b"TFL3"}, f'hub.resolve("{HANDLE}")'),
        ({"model.json": b"{}", "group1-shard1of1.bin": b"x"}, f'hub.resolve("{HANDLE}")'),
        ({"saved_model.pbtxt": b"meta_graphs {}"}, f'hub.load("{HANDLE}")'),
        (
            {"saved_model.pb": graph(b"serve") + graph(b"serve", b"tpu")},
            f"hub.load(\"{HANDLE}\", tags=['serve'])",
        ),
        (
            {"saved_model.pb": graph(b"serve", b"gpu") + graph(b"train")},
            f"hub.load(\"{HANDLE}\", tags=['gpu', 'serve'])",
        ),
        (
            {"saved_model.pb": graph() + graph(b"train"), "tfhub_module.pb": b"\x08\x03"},
            f'hub.load("{HANDLE}")',
        ),
    ],
)
def test_offered_line_can_load_the_model(tmp_path: Path, files: dict[str, bytes], line: str) -> None:
    plant(tmp_path, HANDLE, files)
    (model,) = scan_cache(str(tmp_path)).models
    assert describe(model).code == line
    assert load_line(model, tags_of(model)) == line


def test_graph_in_text_form_says_why_its_signatures_are_unknown(tmp_path: Path) -> None:
    plant(tmp_path, HANDLE, {"saved_model.pbtxt": b"meta_graphs {}"})
    (model,) = scan_cache(str(tmp_path)).models
    assert "saved_model.pbtxt" in describe(model).unread
