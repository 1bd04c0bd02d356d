"""Lines as people type them, in a real kernel: semicolons, comments, slips and help."""

from __future__ import annotations

import pytest
from care_cache import plant
from kernel import Kernel

pytestmark = pytest.mark.kernel

LOCATION = "__import__('os').environ.get('TFHUB_CACHE_DIR')"


@pytest.fixture
def loaded(kernel: Kernel) -> Kernel:
    kernel.ok("%load_ext hub_magic")
    return kernel


@pytest.mark.parametrize(
    "line",
    [
        "%hub_cache;",
        "%hub_cache --list;",
        "%hub_cache --list ; # models",
        "%hub_cache;# models",
        "%hub_mode;",
        "%hub_mode offline;",
        "%hub_tpu;",
        "%hub_doctor --report;",
        "hub_mode compressed;",
        "if True:\n    %hub_cache --verify;",
    ],
)
def test_semicolon_suppresses_the_result(loaded: Kernel, line: str) -> None:
    cell = loaded.ok(line)
    assert (cell.data, cell.stdout) == ({}, "")


def test_assignment_with_a_semicolon_keeps_its_value(loaded: Kernel) -> None:
    assert loaded.ok("mode = %hub_mode offline;").data == {}
    assert loaded.value("mode.value") == "offline"
    assert loaded.ok("print('''\n%hub_mode;\n''')").stdout == "\n%hub_mode;\n\n"


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("%hub_cache ~/models;", "models"),
        ("%hub_cache ~/models  # for the course", "models"),
        ("%hub_cache ~/My Drive/x", "My Drive/x"),
        ('%hub_cache "~/new models";', "new models"),
        ("place = '~/My Drive'\n%hub_cache {place}", "My Drive"),
    ],
)
def test_location_is_what_was_meant(loaded: Kernel, line: str, place: str) -> None:
    home = loaded.home / "work"
    (home / "My Drive").mkdir()
    loaded.ok(f"import os; os.environ['HOME'] = {str(home)!r}")
    loaded.ok(line)
    assert loaded.value(LOCATION) == str(home / place)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%hub_cache list", "Did you mean --list?"),
        ("%hub_cache fetch https://host/model/1", "Did you mean --fetch?"),
        ("%hub_cache \u2014list", "Type hyphens: %hub_cache --list"),
        ("%hub_cache \u201c/a b\u201d", 'Type straight quotes: %hub_cache "/a b"'),
        ("%hub_mode mode=offline", "Write: %hub_mode offline"),
        ("%hub_tpu via=relay", "Write: %hub_tpu --via relay"),
        ("%hub_cache C:\\models", "is a Windows path"),
        ("%hub_cache /new place/x", 'Quote a path that contains spaces: %hub_cache "/new place/x"'),
        ("%hub_cache my models", 'Quote a path that contains spaces: %hub_cache "./my models"'),
        ("%hub_cache --move-to ~/models,", "Did you mean ~/models?"),
        ("%hub_mode compresed", "Did you mean compressed?"),
        ("%hub_cache ,", "%hub_cache ./NAME"),
        ("%hub_cache --prnue", "Did you mean --prune? Help: %hub_cache --help"),
        ("%hub_cache --max-size", "Help: %hub_cache --help"),
        ("%hub_doctor --onlin --x", "Help: %hub_doctor --help"),
        ("%hub_cache {nowhere}/x", "was not replaced"),
    ],
)
def test_slip_is_refused_and_changes_nothing(loaded: Kernel, line: str, message: str) -> None:
    work = loaded.home / "work"
    before = sorted(work.iterdir())
    cell = loaded.run(line)
    assert cell.status == "error"
    assert message in cell.error
    assert len(cell.error.strip().splitlines()) == 1
    assert loaded.value(LOCATION) is None
    assert sorted(work.iterdir()) == before


def test_new_location_is_announced_with_what_stays_behind(loaded: Kernel) -> None:
    first, second = (loaded.home / "work" / name for name in ("first", "second"))
    assert "cached in this new directory" in loaded.ok("%hub_cache ./first").text
    assert " stay" not in loaded.ok("%hub_cache ./second").text
    plant(second, "https://tfhub.dev/google/nnlm-en-dim50/2")
    text = loaded.ok("%hub_cache ./first").text
    assert "in this directory" in text
    assert f"1 model, 19 bytes stays in {second}; --move-to takes it along:" in text
    assert text.splitlines()[-2:] == [f"%hub_cache {second}", f"%hub_cache --move-to {first}"]


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("name", ["hub_mode", "hub_cache", "hub_tpu", "hub_doctor"])
def test_help_is_the_text_of_the_question_mark(loaded: Kernel, name: str, flag: str) -> None:
    printed = loaded.ok(f"%{name} {flag}").stdout
    (page,) = loaded.client.execute(f"%{name}?", reply=True, timeout=60)["content"]["payload"]
    shown = "".join(page["data"]["text/plain"].split())
    assert "".join(printed.split()) in shown
    assert "--cell" not in printed
    assert len([line for line in printed.partition("examples:")[2].splitlines() if name in line]) == 3


def test_cache_help_has_its_options_in_groups(loaded: Kernel) -> None:
    printed = loaded.ok("%hub_cache --list --help").stdout
    places = [printed.index(f"\n{group}:") for group in ("show", "get", "clean", "move", "settings")]
    assert places == sorted(places)


def test_cell_form_prints_help_and_runs_nothing(loaded: Kernel) -> None:
    cell = loaded.ok("%%hub_tpu -h\nran = True")
    assert "--via ROUTE" in cell.stdout
    assert loaded.value("'ran' in globals()") is False


@pytest.mark.parametrize(
    "above", ["#@title Train {run: 'auto'}", "#| echo: false\n#| label: fit", "\n# note\n"]
)
def test_comments_above_the_cell_form_are_fine(loaded: Kernel, above: str) -> None:
    assert "there is no accelerator" in loaded.ok(f"{above}\n%%hub_tpu;  # here\nran = 1").stdout
    assert loaded.value("ran") == 1


@pytest.mark.parametrize(
    "line",
    [
        "%hub_cache",
        "%hub_cache --list",
        "%hub_cache --verify",
        "%hub_cache --remove nnlm --dry-run",
        "%hub_cache --fetch https://tfhub.dev/google/nnlm-en-dim50/2",
        "%hub_mode",
        "%hub_tpu",
        "%hub_doctor",
    ],
)
def test_print_and_f_string_write_the_text_that_is_shown(loaded: Kernel, line: str) -> None:
    loaded.ok("%hub_cache ./models")
    plant(loaded.home / "work/models", "https://tfhub.dev/google/nnlm-en-dim50/2")
    shown = loaded.ok(f"found = {line}\nfound").text
    assert shown
    assert "(" not in shown.partition("\n")[0].split(" ")[0]  # no class's name
    assert loaded.ok("print(found)").stdout == f"{shown}\n"
    assert loaded.ok("print(f'{found}', end='')").stdout == shown


def test_fetch_shows_what_failed_and_why_and_takes_pasted_calls(loaded: Kernel) -> None:
    handle = "https://tfhub.dev/google/nnlm-en-dim50/2"
    loaded.ok("%hub_cache ./models")
    plant(loaded.home / "work/models", handle)
    cell = loaded.ok(f"done = %hub_cache --fetch http://127.0.0.1:9/a/b/1 {handle}\ndone")
    assert cell.text.index("already cached") < cell.text.index("Not fetched")
    assert "refused the connection" in cell.html
    assert loaded.value("[one.handle for one in done.failed]") == ["http://127.0.0.1:9/a/b/1"]
    for call in (f'hub.load("{handle}")', f'layer = hub.KerasLayer("{handle}", trainable=True)  # slow'):
        assert "already cached" in loaded.ok(f"%hub_cache --fetch {call}").text
    (loaded.home / "work/train.py").write_text(f'import tensorflow_hub as hub\nhub.load("{handle}")')
    assert "already cached" in loaded.ok("%hub_cache --fetch train.py").text
