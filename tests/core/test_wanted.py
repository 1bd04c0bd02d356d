"""The models that code names, and which of them are cached."""

from __future__ import annotations

from pathlib import Path

import pytest
from care_cache import plant

from hub_magic.commands.verbs import list_models
from hub_magic.render import text_of

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"
YAMNET = "https://tfhub.dev/google/yamnet/1"


def test_list_of_a_script_tells_which_models_are_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(cache))
    entry = plant(cache, NNLM)
    script = tmp_path / "train.py"
    script.write_text(f'import tensorflow_hub as hub\nhub.load("{YAMNET}")\nhub.load("{NNLM}")\n')
    found = list_models(sources=[str(script)])
    assert [(one.handle, one.path, one.size) for one in found.models] == [
        (YAMNET, "", -1),
        (NNLM, str(entry), 19),
    ]
    assert [one.handle for one in found.missing] == [YAMNET]
    text = text_of(found)
    assert text.startswith(
        f"1 of 2 models cached at {cache}\nFetch the others with: %hub_cache --fetch {script}"
    )
    assert f"{YAMNET}" in text
    assert "not cached" in text
    (entry / "saved_model.pb").unlink()
    assert "saved_model.pb is missing" in text_of(list_models(sources=[str(script)]))
