"""TAB: in a real kernel, a real bash and a real zsh."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from care_cache import plant
from kernel import Kernel
from repository import REPOSITORY

from hub_magic.cli.completion import line_candidates

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"
OTHER = "https://tfhub.dev/google/universal-sentence-encoder/4"


def complete(kernel: Kernel, code: str) -> list[str]:
    """The lines that the cell's last line may become."""
    reply = kernel.client.complete(code, reply=True, timeout=60)["content"]
    assert reply["status"] == "ok"
    last = code.rpartition("\n")[0]
    start = reply["cursor_start"]
    return [(code[:start] + match).removeprefix(last).lstrip("\n") for match in reply["matches"]]


def prepare(kernel: Kernel) -> Kernel:
    """Have two models cached and some files beside the cache."""
    kernel.ok("%load_ext hub_magic")
    kernel.ok("%hub_cache ./models")
    for handle in (NNLM, OTHER):
        plant(kernel.home / "work/models", handle)
    (kernel.home / "work/my folder").mkdir()
    (kernel.home / "work/archive.tar").write_text("")
    return kernel


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel for all tests that only ask."""
    home = tmp_path_factory.mktemp("asked")
    with Kernel(home, HOME=str(home / "work")) as kernel:
        yield prepare(kernel)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%hub_mode off", ["%hub_mode offline"]),
        ("hub_mode comp", ["hub_mode compressed"]),
        ("%hub_mode offline --per", ["%hub_mode offline --persist"]),
        ("%hub_cache --rem", ["%hub_cache --remove"]),
        ("scan = %hub_cache --li", ["scan = %hub_cache --list"]),
        ("x = 1\n%hub_cache --remove https://tfhub.dev/google/nn", [f"%hub_cache --remove {NNLM}"]),
        ("%hub_cache --remove ", [f"%hub_cache --remove {NNLM}", f"%hub_cache --remove {OTHER}"]),
        (
            f"%hub_cache --prune --keep {NNLM} htt",
            [f"%hub_cache --prune --keep {NNLM} {h}" for h in (NNLM, OTHER)],
        ),
        ("%hub_cache mo", ["%hub_cache models/"]),
        ("%hub_cache def", ["%hub_cache default"]),
        ("%hub_cache --export https://tfhub.dev/google/nn", [f"%hub_cache --export {NNLM}"]),
        (f"%hub_cache --add {NNLM} ar", [f"%hub_cache --add {NNLM} archive.tar"]),
        ("%hub_cache --move-to ~/mod", ["%hub_cache --move-to ~/models/"]),
        ("%%hub_tpu --via lo", ["%%hub_tpu --via local", "%%hub_tpu --via localhost"]),
        ("%hub_tpu --st", ["%hub_tpu --strategy"]),
    ],
)
def test_kernel_completes_options_handles_and_paths(asked: Kernel, line: str, expected: list[str]) -> None:
    found = dict.fromkeys(complete(asked, line))  # IPython may add words of Python's own, and say one twice
    assert [one for one in found if one in expected] == expected
    assert not [one for one in found if one.endswith((NNLM, OTHER)) and one not in expected]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%hub_cache --pr", {"%hub_cache --prune"}),
        ("x = %hub_cache --pr", {"x = %hub_cache --prune"}),
        ("%hub_mode off", {"%hub_mode offline"}),
        ("%hub_mode x", set()),
        ("%hub_doctor --re", {"%hub_doctor --report"}),
        ("%%hub_tpu --s", {"%%hub_tpu --strategy"}),
        ("%hub_cache --fetch pr", set()),
        ("%hub_doctor ", {"%hub_doctor --online", "%hub_doctor --report", "%hub_doctor --help"}),
    ],
)
def test_lines_of_our_magics_complete_to_our_words_alone(
    asked: Kernel, line: str, expected: set[str]
) -> None:
    assert set(complete(asked, line)) == expected


@pytest.mark.kernel
def test_other_lines_complete_as_before(asked: Kernel) -> None:
    asked.ok("hub_mode_of_mine = 1")
    assert "prin" in "".join(complete(asked, "prin"))
    assert complete(asked, "hub_mode_of_") == ["hub_mode_of_mine"]
    assert "hub_mode = hub_mode_of_mine" in complete(asked, "hub_mode = hub_mode_of_")


@pytest.mark.kernel
def test_completion_offers_every_option_but_hidden_ones(asked: Kernel) -> None:
    found = complete(asked, "%hub_cache ")
    assert {
        "%hub_cache default",
        "%hub_cache models/",
        "%hub_cache --prune",
        "%hub_cache --dry-run",
    } <= set(found)
    assert not [line for line in complete(asked, "%%hub_tpu --") if "--cell" in line]
    # What is none of ours is left to IPython.
    assert "hub_value = 3".partition(" ")[0] in complete(asked, "hub_value = 3\nhub_val")


@pytest.mark.kernel
def test_unload_removes_completion(kernel: Kernel) -> None:
    loaded = prepare(kernel)
    before = loaded.value("len(get_ipython().strdispatchers['complete_command'].regexs)")
    loaded.ok("%unload_ext hub_magic")
    assert loaded.value("len(get_ipython().strdispatchers['complete_command'].regexs)") == before - 1
    assert not [line for line in complete(loaded, "%hub_mode off") if "offline" in line]
    loaded.ok("%load_ext hub_magic")
    assert complete(loaded, "%hub_mode off") == ["%hub_mode offline"]


# Shells


def test_command_line_completes_commands_options_and_handles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    plant(tmp_path, NNLM)
    assert line_candidates([], "re") == ["resolve", "remove", "repair"]
    assert line_candidates(["prune"], "--keep") == ["--keep", "--keep-newest"]
    assert line_candidates(["prune", "--keep"], "https:") == [NNLM]
    assert line_candidates(["prune", "--max-size"], "") == []
    flags = ["--cache", "--dry-run", "--help", "--json", "--quiet", "--yes"]
    assert line_candidates(["remove"], "") == [NNLM, *flags]
    assert line_candidates(["size"], "--") == ["--cache", "--help", "--json"]
    assert line_candidates(["remove", NNLM], "") == [NNLM]
    assert line_candidates(["mode"], "c") == ["compressed"]
    assert line_candidates(["completion"], "") == ["bash", "zsh"]
    assert line_candidates(["nonsense"], "") == []


def test_a_bucket_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFHUB_CACHE_DIR", "gs://bucket/path")
    assert line_candidates(["remove"], "h") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("hub-magic ver", ["verify"]),
        ("hub-magic remove https://tfhub.dev/google/nn", [NNLM.partition(":")[2]]),
        ("hub-magic remove ht", [NNLM, OTHER]),
        ("hub-magic mode off", ["offline"]),
        ("hub-magic prune --keep-", ["--keep-newest"]),
    ],
)
def test_bash_script_completes(tmp_path: Path, line: str, reply: list[str]) -> None:
    script = f"""
COMP_LINE='{line}' COMP_POINT={len(line)}
_hub_magic
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    assert completed("bash", script, tmp_path) == reply


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("hub-magic ver", ["verify"]),
        ("hub-magic remove ht", [NNLM, OTHER]),
        ("hub-magic remove https://tfhub.dev/google/nn", [NNLM]),
        ("hub-magic prune --keep-", ["--keep-newest"]),
        ("hub-magic serve ", ["files"]),
    ],
)
def test_zsh_script_completes(tmp_path: Path, line: str, reply: list[str]) -> None:
    """What zsh's own functions are given, which run inside its line editor only."""
    *words, last = line.split(" ")
    script = f"""
compadd() {{ shift; print -l -- "$@"; }}
_files() {{ print files; }}
words=({" ".join(words)} {last!r}) CURRENT={len(words) + 1} PREFIX={last!r}
_hub_magic
"""
    assert completed("zsh", script, tmp_path, before="compdef() { : }") == reply


def completed(shell: str, script: str, cache: Path, before: str = "") -> list[str]:
    """What a script prints in a shell that completes `hub-magic`, with two models cached."""
    for handle in (NNLM, OTHER):
        plant(cache, handle)
    setting = f"""
hub-magic() {{ {sys.executable} -m hub_magic "$@"; }}
{before}
eval "$(hub-magic completion {shell})"
"""
    root = REPOSITORY
    run = subprocess.run(
        [shell, "-c", setting + script],
        env={**os.environ, "TFHUB_CACHE_DIR": str(cache), "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    return run.stdout.split()
