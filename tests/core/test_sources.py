"""What `--fetch` takes: calls, pages, notebooks, scripts and folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub_magic import HandleError
from hub_magic.commands.sources import handle_of, handles_of, unpack_calls

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"
YAMNET = "https://tfhub.dev/google/yamnet/1"
OWN = "http://models.example/team/words/3"


@pytest.mark.parametrize(
    "text",
    [
        f'hub.load("{NNLM}")',
        f"hub.load('{NNLM}')",
        f'model = hub.load( "{NNLM}" )',
        f'hub.KerasLayer("{NNLM}", trainable=True, input_shape=[None, 3])',
        f'hub.KerasLayer(handle="{NNLM}", arguments=dict(x=1))',
        f'tensorflow_hub.resolve("{NNLM}")',
        f'load("{NNLM}", tags=set())',
    ],
)
def test_pasted_call_becomes_its_handle(text: str) -> None:
    assert unpack_calls(f"--fetch {text} --dry-run") == f"--fetch {NNLM} --dry-run"
    assert handles_of([text]) == [NNLM]


@pytest.mark.parametrize(
    ("page", "handle"),
    [
        (f"{NNLM}?tf-hub-format=compressed", NNLM),
        (f"{NNLM}#usage", NNLM),
        (f"{NNLM},", NNLM),
        (f"<{NNLM}>", NNLM),
        (f"{OWN}?key=1&tf-hub-format=compressed", f"{OWN}?key=1"),
        (
            "https://www.kaggle.com/models/google/yamnet/frameworks/TensorFlow2/variations/yamnet/versions/1",
            "https://www.kaggle.com/models/google/yamnet/TensorFlow2/yamnet/1",
        ),
        (
            "https://www.kaggle.com/models/google/yamnet/tensorFlow2/yamnet/1?tfhub-redirect=true",
            "https://www.kaggle.com/models/google/yamnet/tensorFlow2/yamnet/1",
        ),
        (f"{OWN}?b=2&a=%20", f"{OWN}?b=2&a=%20"),
        (f"{OWN}/", f"{OWN}/"),
        ("http://[bad", "http://[bad"),
        ("a/folder", "a/folder"),
    ],
)
def test_address_of_a_page_becomes_the_handle(page: str, handle: str) -> None:
    assert handle_of(page) == handle


CODE = f'''
import tensorflow_hub as hub
"""Docs name https://tfhub.dev/google/other/1 among words."""
BASE = "http://models.example"
first = hub.load("{NNLM}")
second = hub.KerasLayer(handle=BASE + "/team/words/3")
table = {{"sound": "{YAMNET}"}}
for path in ["a/1", "b/2"]:
    hub.load(f"{{BASE}}/{{path}}")
json.load("https://not.a/model.json") if False else hub.load(unknown())
me = me
hub.load(me)
raise SystemExit("never run")
'''
FOUND = {NNLM, OWN, YAMNET, "http://models.example/a/1", "http://models.example/b/2"}


def test_handles_in_a_script_are_found_without_running_it(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(CODE)
    assert set(handles_of([str(script)])) == FOUND


def test_names_of_the_library_are_those_of_the_imports(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        f"import tensorflow_hub as th\nfrom tensorflow_hub import KerasLayer as Layer\n"
        f'th.load("{OWN}")\nLayer("{OWN}4")\nload("{OWN}5")\n'
    )
    assert handles_of([str(script)]) == [OWN, f"{OWN}4"]


def notebook(path: Path, *cells: str) -> Path:
    path.write_text(
        json.dumps(
            {
                "cells": [
                    {"cell_type": "markdown", "source": ["https://tfhub.dev/google/other/1"]},
                    *({"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells),
                ]
            }
        )
    )
    return path


def test_handles_in_a_notebook_are_found_among_magics(tmp_path: Path) -> None:
    book = notebook(
        tmp_path / "book.ipynb",
        "%load_ext hub_magic\n!pip list\nfiles = !ls\nx = %hub_mode\nimport tensorflow_hub as hub?",
        f'%%hub_tpu --via relay\nif True:\n    %pwd\n    hub.load("{NNLM}")',
        f'%%bash\necho hub.load("{YAMNET}")',
        "broken(",
        f'HANDLE = "{OWN}"',
        "hub.load(HANDLE)",
    )
    assert handles_of([str(book)]) == [NNLM, OWN]


def test_folder_is_searched_and_bad_files_are_skipped(tmp_path: Path) -> None:
    notebook(tmp_path / "a.ipynb", f'hub.load("{NNLM}")')
    (tmp_path / "bad.ipynb").write_text("[" * 100_000)
    (tmp_path / "bad.py").write_text("def (")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/b.py").write_text(f'hub.load("{OWN}")')
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/c.py").write_text(f'hub.load("{YAMNET}")')
    assert handles_of([str(tmp_path), OWN]) == [NNLM, OWN]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.py", "x = 1", "names no model's URL"),
        ("bad.py", "def (", "is not Python that can be read"),
        ("bad.ipynb", "{}", "is not a notebook that can be read"),
    ],
)
def test_file_without_handles_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(HandleError, match=message):
        handles_of([str(tmp_path / name)])


def test_folder_that_is_a_model_stays_a_handle(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert handles_of([str(tmp_path)]) == [str(tmp_path)]
