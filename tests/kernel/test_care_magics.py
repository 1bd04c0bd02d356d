"""The care of the cache in a real kernel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from care_cache import lock, plant
from kernel import Kernel

pytestmark = pytest.mark.kernel

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"


@pytest.fixture
def cache(kernel: Kernel) -> Path:
    """The cache of a kernel that has the extension loaded."""
    kernel.ok("%load_ext hub_magic")
    kernel.ok("%hub_cache ./models")
    return kernel.home / "work" / "models"


def test_remove_magic_shows_plan_and_frees_space(kernel: Kernel, cache: Path) -> None:
    plant(cache, NNLM, size=2_000_000)
    plant(cache, f"{NNLM[:-1]}1", size=1_000_000)
    cell = kernel.ok("%hub_cache --remove dim50/2 --dry-run")
    assert cell.text.startswith(f"{cache}: 1 model to remove, which frees 2.0 MB; 1.0 MB of models stay.")
    assert NNLM in cell.text
    assert "<table" in cell.html
    assert len(list(cache.iterdir())) == 4
    cell = kernel.ok("%hub_cache --remove dim50/2")
    (shown,) = [m["content"]["data"] for m in cell.messages if m["msg_type"] == "display_data"]
    assert "1 model to remove" in shown["text/plain"]
    assert cell.text == f"{cache}: 1 model removed; 2.0 MB freed."
    assert len(list(cache.iterdir())) == 2
    kernel.ok("done = %hub_cache --remove nnlm")
    assert kernel.value("(done.freed, len(done.kept), [model.name for model in done.removed])") == (
        1_000_019,
        0,
        ["nnlm-en-dim50"],
    )


def test_prune_plan_is_executed_later(kernel: Kernel, cache: Path) -> None:
    for version in range(1, 5):
        plant(cache, f"https://tfhub.dev/p/model/{version}", size=1_000_000, used=version)
    lock(plant(cache, "https://tfhub.dev/p/locked/1", size=1_000_000, used=9))
    cell = kernel.ok("plan = %hub_cache --prune --max-size 3MB --dry-run\nplan")
    assert "2 models to remove" not in cell.text
    assert cell.text.splitlines()[0].endswith(
        "3 models to remove, which frees 3.0 MB; 2.0 MB of models stay."
    )
    assert "locked (held by process" in cell.text
    assert len(list(cache.iterdir())) == 11
    data = json.loads(kernel.value("plan.to_json()"))
    assert [choice["model"]["version"] for choice in data["going"]] == ["2", "3", "4"]
    assert (data["size"], data["left"], data["goal"]) == (3_000_057, 2_000_038, 3_000_000)
    (Path(data["going"][0]["model"]["path"]) / "more").write_text("x")
    kernel.ok("%cd -q /")
    cell = kernel.ok("plan.execute()")
    assert cell.text.splitlines()[0].endswith("2 models removed; 2.0 MB freed, 3.0 MB expected.")
    assert "it has changed since the plan was made" in cell.text
    assert kernel.ok("%hub_cache --prune --keep-newest 1 --keep locked").text.startswith(
        f"{cache}: 1 model removed"
    )


def test_prune_magic_names_duplicates(kernel: Kernel, cache: Path) -> None:
    plant(cache, NNLM, used=3)
    plant(cache, f"{NNLM}/", used=1)
    cell = kernel.ok("%hub_cache --prune --duplicates --dry-run")
    assert f"the same model as {NNLM}/" in cell.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--remove nmlm", f"NotCachedError: 'nmlm' is not cached at {{cache}}. Cached models: {NNLM}."),
        ("--remove", "argument --remove: expected at least one argument"),
        ("--prune", "SettingError: Say what to prune: --max-size 5GB, --older-than 30d,"),
        ("--prune --max-size lots", "SettingError: 'lots' is not a size. Write it as 500MB, 5GB or 5GiB."),
        ("--prune --older-than 30", "SettingError: '30' is not a period. Write it as 12h, 30d, 4w or 1y."),
        ("--prune --keep-newest none", "argument --keep-newest: invalid int value: 'none'"),
        ("--prune --keep-newest 0", "SettingError: --keep-newest 0 keeps nothing. Give 1 or more."),
        ("--prune --max-size 0 --keep bert", "NotCachedError: 'bert' is not cached at {cache}."),
        ("--fetch x --timeout soon", "SettingError: --timeout 'soon' is not a number of seconds"),
        ("--timeout 600", "SettingError: --timeout only works with --fetch. Add --fetch."),
        ("--list --force", "SettingError: --force only works with --fetch. Add --fetch."),
        ("--max-size 5GB", "SettingError: --max-size only works with --prune. Add --prune."),
        ("--list --dry-run", "SettingError: --dry-run only works with --remove or --prune"),
        ("--remove nnlm --prune --max-size 0", "SettingError: --remove and --prune cannot be combined."),
    ],
)
def test_a_users_mistake_is_one_line_and_changes_nothing(
    kernel: Kernel, cache: Path, line: str, message: str
) -> None:
    plant(cache, NNLM)
    cell = kernel.run(f"%hub_cache {line}")
    assert cell.status == "error"
    assert message.format(cache=cache) in cell.error
    assert len(cell.error.strip().splitlines()) == 1
    assert len(list(cache.iterdir())) == 2
