"""`hub-magic` as a shell and cron call it: in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from archives import model_archive
from care_cache import WHOLE, lock, plant, write
from faulty_host import Fault, FaultyHost
from repository import REPOSITORY
from test_care_savedmodel import model

import hub_magic
from hub_magic import parse_handle
from hub_magic.cli.parser import COMMANDS, DOCTOR, make_parser
from hub_magic.commands import options
from hub_magic.commands.line import CacheLine, DoctorLine, Line, ModeLine, TpuLine

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"


class Shell:
    """Runs commands in a folder, with a cache of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cache = home / "cache"
        self.cache.mkdir()
        self.env = {
            **os.environ,
            "TFHUB_CACHE_DIR": str(self.cache),
            "PYTHONPATH": str(REPOSITORY),
            "HOME": str(home),
        }

    def run(self, *words: str, status: int = 0, **env: str) -> str:
        """What a command prints; it must end with this status, and say nothing else where that is 0 or 1."""
        done = self._run(words, env)
        assert done.returncode == status, done.stderr
        if status < 2:
            assert done.stderr == ""
        return done.stdout.rstrip("\n") if status < 2 else done.stderr.rstrip("\n")

    def json(self, *words: str, status: int = 0, **env: str):
        return json.loads(self.run(*words, "--json", status=status, **env))

    def _run(self, words: tuple[str, ...], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hub_magic", *words],
            cwd=self.home,
            env=self.env | env,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def host() -> Iterator[FaultyHost]:
    files = {
        "saved_model.pb": model(objects=False),
        "assets/vocab.txt": b"hub",
    }  # no variables: no TensorFlow
    with FaultyHost(model_archive(files)) as running:
        yield running


def test_commands_fetch_list_resolve_and_remove_a_model(shell: Shell, host: FaultyHost) -> None:
    url = f"{host.url}/google/model/1"
    (fetched,) = shell.json("fetch", url)
    assert (fetched["handle"], fetched["was_cached"]) == (url, False)
    assert shell.run("resolve", url) == fetched["path"]
    assert "already cached" in shell.run("fetch", url)
    (again,) = shell.json("fetch", "--force", "--timeout", "600", url)
    assert (again["path"], again["was_cached"]) == (fetched["path"], False)
    data = shell.json("list")
    size = len(model(objects=False)) + 3
    assert [(m["handle"], m["size"], m["path"]) for m in data["models"]] == [(url, size, fetched["path"])]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+", data["models"][0]["downloaded"])
    assert "1 model to remove" in shell.run("remove", "model", "--dry-run")
    assert len(list(shell.cache.iterdir())) == 3
    text = shell.run("remove", "model")
    assert text.splitlines()[0].startswith(f"{shell.cache}: 1 model to remove, which frees ")
    assert text.splitlines()[-1].startswith(f"{shell.cache}: 1 model removed; ")
    assert list(shell.cache.iterdir()) == []


def test_fetch_command_tries_all_and_its_status_tells_all_part_or_none(
    shell: Shell, host: FaultyHost, tmp_path: Path
) -> None:
    good, other = f"{host.url}/google/model/1", f"{host.url}/google/other/1"
    bad, worse = "http://127.0.0.1:9/google/model/1", "nonsense"
    text = shell.run("fetch", good, bad, worse, other, status=1)
    assert [line.split()[0] for line in text.splitlines()[1:3]] == [good, other]
    assert "Not fetched" in text
    assert "refused the connection" in text
    assert "'nonsense' is not a local path" in text
    found = shell.json("fetch", bad, good, status=1)
    assert [(one["handle"], "error" in one) for one in found] == [(good, False), (bad, True)]
    assert "none of the models could be fetched" in shell.run("fetch", bad, f"{bad}2", status=2)
    (tmp_path / "train.py").write_text(
        f'import tensorflow_hub as hub\nhub.load("{good}")\nhub.load("{other}")'
    )
    assert shell.run("fetch", str(tmp_path / "train.py")).count("already cached") == 2
    assert "already cached" in shell.run("fetch", f'hub.load("{good}")')


def test_prune_command_prints_plan_and_result_as_json(shell: Shell) -> None:
    for version in (1, 2, 3):
        plant(shell.cache, f"https://tfhub.dev/p/m/{version}", size=1000, used=version)
    plan = shell.json("prune", "--keep-newest", "2", "--dry-run")
    assert [choice["model"]["version"] for choice in plan["going"]] == ["1"]
    done = shell.json("prune", "--keep-newest", "2")
    assert (done["freed"], done["expected"]) == (1019, 1019)
    lock(shell.cache / parse_handle("https://tfhub.dev/p/m/3").folder)
    done = shell.json("prune", "--max-size", "0", status=1)
    assert [choice["reason"].partition(" ")[0] for choice in done["kept"]] == ["locked"]


def test_verify_and_repair_commands_fix_a_damaged_model(shell: Shell, host: FaultyHost) -> None:
    url = f"{host.url}/google/model/1"
    entry = Path(shell.run("resolve", url))
    assert shell.run("verify").endswith("none damaged.")
    (entry / "assets/vocab.txt").write_bytes(b"hug")
    shell.run("verify")
    data = shell.json("verify", "--deep", status=1)
    assert data["damaged"][0]["damage"] == "assets/vocab.txt does not match its checksum"
    assert "1 damaged model to download again" in shell.run("repair", "--deep", "--dry-run")
    assert "1 downloaded again" in shell.run("repair", url)
    assert shell.json("verify", "--deep", "model")["damaged"] == []
    (entry / "saved_model.pb").unlink()
    host.then = Fault(status=404)
    assert "404" in shell.run("repair", status=1)


def test_add_and_export_commands_carry_models(shell: Shell) -> None:
    write(shell.home / "model", WHOLE)
    assert shell.json("add", NNLM, "model")["files"] == 3
    assert shell.run("export", "nnlm", "it.tar").endswith("written to it.tar.")
    assert len(shell.json("export", "--all", "stick")["exported"]) == 1
    other = shell.home / "other"
    assert len(shell.json("add", "--all", "stick", "--cache", str(other))["added"]) == 1
    assert (other / parse_handle(NNLM).folder / "saved_model.pb").is_file()
    assert "1 model, 19 bytes" in shell.run("list", "--cache", "other")


def test_list_all_command_shows_other_caches(shell: Shell) -> None:
    version = write(shell.home / "kaggle/models/google/nnlm/tensorFlow2/en-dim50/1", WHOLE)
    Path(f"{version}.complete").write_text("")
    plant(shell.cache, NNLM)
    data = shell.json("list", "--all", KAGGLEHUB_CACHE=str(shell.home / "kaggle"))
    (other,) = data["others"]
    assert (other["path"], other["same_as"], other["is_complete"]) == (str(version), [NNLM], True)
    text = shell.run("list", "--all", KAGGLEHUB_CACHE=str(shell.home / "kaggle"))
    assert (
        "Other caches on this computer contain 1 model, 19 bytes; 19 bytes of that is also in this cache."
        in text
    )


def test_mode_command_prints_lines_for_eval(shell: Shell) -> None:
    assert shell.run("mode").startswith("compressed: ")
    assert shell.run("mode", TFHUB_MODEL_LOAD_FORMAT="uncompressed").startswith("uncompressed: ")
    lines = shell.run("mode", "Offline")
    code = f"{lines}\necho $TFHUB_MODEL_LOAD_FORMAT $HUB_MAGIC_OFFLINE"
    assert (
        subprocess.run(["sh", "-c", code], capture_output=True, text=True, check=True).stdout
        == "COMPRESSED 1\n"
    )
    assert "unset HUB_MAGIC_OFFLINE" in shell.run("mode", "compressed", HUB_MAGIC_OFFLINE="1")
    assert shell.run("mode", "auto").startswith("# auto: models are read from this computer's disk")
    assert shell.json("mode", "uncompressed")["lines"] == ["export TFHUB_MODEL_LOAD_FORMAT=UNCOMPRESSED"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["remove", "nnlm"], "hub-magic: 'nnlm' is not cached: the cache at {cache} is empty."),
        (["prune"], "hub-magic: Say what to prune"),
        (["prune", "--max-size", "lots"], "hub-magic: 'lots' is not a size."),
        (["mode", "packed"], "hub-magic: There is no mode 'packed'."),
        (["add", NNLM], "hub-magic: --add HANDLE PATH takes 2 arguments, got 1."),
        (["list", "--cache", "s3://x"], "hub-magic: A cache cannot be at s3://."),
        (
            ["fetch", "--timeout", "-1", "http://127.0.0.1:9/a"],
            "hub-magic: --timeout '-1' is not a number of seconds",
        ),
        (["fetch", "nonsense"], "hub-magic: 'nonsense' is not a local path. Use the full URL, e.g. https://"),
        (["resolve", "https://"], "hub-magic: The handle 'https://' contains no host."),
    ],
)
def test_user_error_is_one_line_on_stderr(shell: Shell, words: list[str], message: str) -> None:
    told = shell.run(*words, status=2)
    assert told.startswith(message.format(cache=shell.cache))
    assert "\n" not in told


def test_advice_names_shell_commands_instead_of_magics(shell: Shell) -> None:
    (plant(shell.cache, NNLM) / "saved_model.pb").unlink()
    assert "\nFix with: hub-magic repair" in shell.run("verify", status=1)
    told = shell.run("resolve", "https://tfhub.dev/p/m/1", status=2, HUB_MAGIC_OFFLINE="1")
    assert 'eval "$(hub-magic mode compressed)"' in told
    told = shell.run("export", "nnlm", "it.tar", status=2)
    assert told.endswith(f"Repair it first: hub-magic repair {NNLM}")
    assert "Set another with --cache LOCATION." in shell.run("list", "--cache", __file__, status=2)


def test_closed_output_pipe_does_not_stop_a_removal(shell: Shell) -> None:
    plant(shell.cache, NNLM)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "hub_magic", "remove", "nnlm"],
        env=shell.env,
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
    assert list(shell.cache.iterdir()) == []


def test_wrong_usage_and_help_print_the_usage(shell: Shell) -> None:
    assert "usage: hub-magic" in shell.run(status=2)
    assert "invalid choice: 'nonsense'" in shell.run("nonsense", status=2)
    assert "unrecognized arguments: --nonsense" in shell.run("list", "--nonsense", status=2)
    for command in COMMANDS:
        assert f"usage: hub-magic {command.name}" in shell.run(command.name, "--help")


def test_bare_command_and_version_option_answer(shell: Shell) -> None:
    bare = subprocess.run(
        [sys.executable, "-m", "hub_magic"], env=shell.env, capture_output=True, text=True, check=False
    )
    assert all(command.name in bare.stdout for command in COMMANDS)
    assert shell.run("--version") == f"hub-magic {hub_magic.__version__}"


def test_where_size_and_quiet_print_what_a_script_needs(shell: Shell) -> None:
    assert shell.run("where") == str(shell.cache)
    assert shell.run("where", "--cache", "other") == str(shell.home / "other")
    plant(shell.cache, NNLM)
    assert shell.run("size") == "19 bytes"
    assert shell.json("size") == {"location": str(shell.cache), "models": 1, "bytes": 19}
    assert shell.run("list", "-q") == NNLM
    assert shell.run("verify", "-q") == ""
    assert shell.run("remove", "nnlm", "--dry-run", "-q") == NNLM
    assert shell.run("remove", "nnlm", "--quiet") == NNLM
    assert shell.run("list", "-q") == ""


@pytest.mark.parametrize("word", ["/", ".", ":", "-", "//", "?", "*", "", " "])
def test_punctuation_alone_matches_no_model(shell: Shell, word: str) -> None:
    plant(shell.cache, NNLM)
    assert "is not cached" in shell.run("remove", "--dry-run", "--", word, status=2)
    assert len(shell.json("list")["models"]) == 1


def at_terminal(shell: Shell, answer: bytes, *words: str) -> tuple[int, str]:
    """Run a command at a terminal of its own, type an answer, and return its status and what it shows."""
    ours, theirs = os.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "hub_magic", *words],
        cwd=shell.home,
        env=shell.env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, answer)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal's end on Linux
        while block := os.read(ours, 10_000):
            shown += block
    os.close(ours)
    return running.wait(60), shown.decode()


@pytest.mark.parametrize("words", [("remove", "nnlm"), ("prune", "--max-size", "0")])
def test_person_at_a_terminal_is_asked_before_models_are_deleted(
    shell: Shell, words: tuple[str, ...]
) -> None:
    plant(shell.cache, NNLM)
    for answer in (b"\n", b"n\n", b"what\n"):
        status, shown = at_terminal(shell, answer, *words)
        assert (status, "Remove 1 model (19 bytes)? [y/N]" in shown) == (1, True)
        assert "nothing was deleted" in shown
        assert len(shell.json("list")["models"]) == 1
    status, shown = at_terminal(shell, b"y\n", *words)
    assert (status, "1 model removed" in shown) == (0, True)
    assert shell.json("list")["models"] == []
    plant(shell.cache, NNLM)
    status, shown = at_terminal(shell, b"", *words, "--yes")
    assert (status, "[y/N]" in shown) == (0, False)
    assert shell.json("list")["models"] == []


def test_mode_at_a_terminal_explains_that_it_needs_eval(shell: Shell) -> None:
    status, shown = at_terminal(shell, b"", "mode", "offline")
    assert (status, 'eval "$(hub-magic mode offline)"' in shown) == (0, True)
    assert "eval" not in at_terminal(shell, b"", "mode")[1]


def test_repair_at_a_terminal_asks_before_it_deletes(shell: Shell) -> None:
    entry = plant(shell.cache, "http://127.0.0.1:9/a/b/1")
    (entry / "saved_model.pb").unlink()
    status, shown = at_terminal(shell, b"n\n", "repair")
    assert (status, "Delete 1 damaged model and download again? [y/N]" in shown) == (1, True)
    assert entry.exists()


def test_commands_use_the_options_of_the_magics() -> None:
    """Every option of a command is one of the magics', but the two that are a shell's.

    `%hub_doctor` is a magic of its own, so the words for its command are the command's.
    """
    known = {id(one) for magic in options.MAGICS.values() for one in magic} | {id(DOCTOR)}
    for command in COMMANDS:
        assert id(command.verb) in known, command.name
        assert {id(one) for one in command.modifiers} <= known, command.name
    verbs = {one.key for one in options.MAGICS["hub_cache"]}
    told = {command.verb.key for command in COMMANDS} | {one.key for c in COMMANDS for one in c.modifiers}
    assert verbs - told == {"location", "move_to", "persist", "autoload", "forget"}
    assert make_parser().parse_args(["remove", "a", "b"]).remove == ["a", "b"]


def test_serve_command_runs_a_host_until_interrupted(shell: Shell) -> None:
    write(shell.home / "models/p/m/1", WHOLE)
    running = subprocess.Popen(
        [sys.executable, "-m", "hub_magic", "serve", "models", "--port", "0"],
        cwd=shell.home,
        env=shell.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert url, line
        with socket.create_connection(("127.0.0.1", int(url[1])), timeout=10):
            pass
        running.terminate()  # Ctrl-C may be off, where a shell has started this as a background job
        assert running.wait(20) == 0
    finally:
        running.kill()
        running.communicate()
    assert "There is no folder" in shell.run("serve", "nothing", status=2)


def test_command_line_imports_no_slow_module(shell: Shell) -> None:
    code = (
        "import sys; from hub_magic.cli.main import main; main(['list']); main(['verify']);"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=shell.env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    slow = {"tensorflow", "tensorflow_hub", "IPython", "anywidget", "ipywidgets", "traitlets"}
    assert not slow & set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("kind", "magic"),
    [(ModeLine, "hub_mode"), (CacheLine, "hub_cache"), (TpuLine, "hub_tpu"), (DoctorLine, "hub_doctor")],
)
def test_every_option_of_a_magic_is_a_typed_argument(kind: type[Line], magic: str) -> None:
    assert {one.name for one in fields(kind)} == {option.key for option in options.MAGICS[magic]}
