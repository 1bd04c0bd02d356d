"""Slips of the keyboard: what is ignored, what is joined, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.utils.process import arg_split

from hub_magic import SettingError
from hub_magic.commands.options import MAGICS
from hub_magic.commands.slips import (
    Quoted,
    asks_help,
    check_location,
    check_words,
    clean_line,
    nearest,
    split_line,
)
from hub_magic.locations import read_location

FLAGS = [flag for one in MAGICS["hub_cache"] for flag in one.names if flag.startswith("--")]


@pytest.mark.parametrize(
    ("line", "text", "is_silent"),
    [
        ("", "", False),
        (";", "", True),
        (" ; ;; ", "", True),
        ("~/models;", "~/models", True),
        ("~/models ;", "~/models", True),
        ("~/models\uff1b", "~/models", True),
        ("--list;  # what is here", "--list", True),
        ("--list;# what is here", "--list", True),
        ("# only a comment;", "", False),
        ("#browse", "", False),
        ("\uff03browse", "", False),
        ("--fetch https://host/a#b;", "--fetch https://host/a#b", True),
        ("--fetch https://host/a;v=1/b", "--fetch https://host/a;v=1/b", False),
        ('"~/my models;"', '"~/my models;"', False),
        ('"~/my models;";', '"~/my models;"', True),
        ("'~/a # b' # c", "'~/a # b'", False),
        ("~/it's;", "~/it's", True),
        ("--list\u00a0--all\u3000", "--list --all", False),
        ("\u200b--li\ufeffst", "--list", False),
        ('"open ; # still', '"open ; # still', False),
    ],
)
def test_comment_and_final_semicolon_are_no_part_of_a_line(line: str, text: str, is_silent: bool) -> None:
    cleaned = clean_line(line)
    assert (cleaned.text, cleaned.is_silent) == (text, is_silent)


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("--help", True),
        ("~/models -h", True),
        ("--list --help --all", True),
        ('"--help"', False),
        ("--fetch x--help", False),
        ("--helper", False),
    ],
)
def test_help_is_asked_for_anywhere_on_a_line(line: str, asked: bool) -> None:
    assert asks_help(line) is asked


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    (tmp_path / "My Drive" / "models").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{0}/My Drive", ["{0}/My Drive"]),
        ("{0}/My Drive/models --persist", ["{0}/My Drive/models", "--persist"]),
        ("{0}/My Drive/new", ["{0}/My Drive/new"]),
        ("{0}/My Drive/new/deep --persist", ["{0}/My Drive/new/deep", "--persist"]),
        ("--add https://h/m {0}/My Drive/models", ["--add", "https://h/m", "{0}/My Drive/models"]),
        (r"{0}/Your\ Drive/new", ["{0}/Your Drive/new"]),
        ("{0}/new models", ["{0}/new", "models"]),
        ("{0}/a {0}/b", ["{0}/a", "{0}/b"]),
        ("--fetch {0} list", ["--fetch", "{0}", "list"]),
        ('"{0}/My Drive" list', ['"{0}/My Drive"', "list"]),
    ],
)
def test_words_of_one_path_are_joined(drive: Path, line: str, words: list[str]) -> None:
    assert split_line(line.format(drive), arg_split) == [word.format(drive) for word in words]


def test_open_quotation_mark_is_named() -> None:
    with pytest.raises(SettingError, match="Close the quotation mark"):
        split_line("'open", arg_split)


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["\u2014list"], "%hub_cache --list"),
        (["\u2013list"], "%hub_cache --list"),
        (["-\u2013list"], "%hub_cache --list"),
        (["\u2212\u2212list"], "%hub_cache --list"),
        (["--max\u2013size", "5GB"], "%hub_cache --max-size 5GB"),
        (["\u2013h"], "%hub_cache -h"),
        (["\u201c/a", "b\u201d"], '%hub_cache "/a b"'),
        (["--fetch", "\u2018https://h/m\u2019"], "%hub_cache --fetch 'https://h/m'"),
        (["\u00ab/a/b\u00bb"], '%hub_cache "/a/b"'),
        (["location=/a"], "%hub_cache /a"),
        (["max_size=5GB"], "%hub_cache --max-size 5GB"),
        (["--list;", "--all"], "on a line of its own"),
        ([";", "%hub_mode"], "on a line of its own"),
        (["C:\\models"], "is a Windows path"),
        (["--add", "https://h/m", '"D:\\my models"'], "is a Windows path"),
        (["\\\\server\\share"], "is a Windows path"),
    ],
)
def test_word_with_a_slip_is_refused_with_the_right_line(words: list[str], right: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_words(words, "hub_cache", FLAGS, ["location"])
    assert right in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--fetch", "https://host/m?a=b"],
        ["--max-size=5GB"],
        ["gs://bucket/a=b"],
        ['"name=value"'],
        ['"\u201cmodels\u201d"'],
        ["--prune", "--keep-newest", "1"],
        ["/a/b=c"],
    ],
)
def test_word_without_a_slip_passes(words: list[str]) -> None:
    check_words(words, "hub_cache", FLAGS, ["location"])


def test_name_of_an_existing_file_is_never_a_slip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("year=2026", "\u2014new", "models\u201d", "list", "models,"):
        (tmp_path / name).mkdir()
        check_words([name], "hub_cache", FLAGS, ["location"])
        check_location(name, FLAGS)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("list", "Did you mean --list?"),
        ("lst", "Did you mean --list?"),
        ("prune", "Did you mean --prune?"),
        ("ls", "Did you mean --list?"),
        ("rm", "Did you mean --remove?"),
        ("Default", "Did you mean default?"),
        ("help", "Did you mean --help?"),
        ("[/a/x]", "Did you mean /a/x?"),
        ("zzz", "Did you mean --list?"),
        ("zzz", "%hub_cache ./zzz"),
        (",", "Did you mean --list?"),
        ("$", "Did you mean --list?"),
        ("...", "Did you mean --list?"),
        ("/a/models,", "Did you mean /a/models?"),
        ("/a/models)", "Did you mean /a/models?"),
        ("/a/models.", "Did you mean /a/models?"),
        ("/a/mod*", 'quote it: %hub_cache "/a/mod*"'),
        ("/a;b", 'quote it: %hub_cache "/a;b"'),
        ("{place}/models", "{place} in '{place}/models' was not replaced"),
        ("a\\b", "%hub_cache a/b"),
        ("C:/models", "is a Windows path"),
        ("https://host/model/1", "%hub_cache --fetch https://host/model/1"),
        ("tfhub.dev/google/yamnet/1", "%hub_cache --fetch https://tfhub.dev/google/yamnet/1"),
        (Quoted("list"), "Did you mean --list?"),
    ],
)
def test_word_that_is_no_location_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError) as caught:
        check_location(text, FLAGS)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "default",
        "./list",
        "~/models",
        "a/b",
        "models.v2",
        ".",
        "..",
        "../..",
        "gs://bucket/path",
        "$HOME/models",
        Quoted("my models"),
        Quoted("./a;b"),
        "/a/b c",
    ],
)
def test_word_that_looks_like_a_location_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    check_location(text, FLAGS)


def test_location_of_an_option_may_be_a_bare_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_location("elsewhere", FLAGS, may_be_bare=True)
    for text in ("elsewhere,", "/a/b;c", ",", "{place}", "https://host/m"):
        with pytest.raises(SettingError):
            check_location(text, FLAGS, may_be_bare=True)


def test_windows_path_is_no_location_elsewhere() -> None:
    for text in ("C:\\models", "c:/models", "D:", "\\\\server\\share"):
        with pytest.raises(SettingError, match="is a Windows path"):
            read_location(text, {})


def test_near_words_are_suggested() -> None:
    assert nearest("--prun", FLAGS) == "Did you mean --prune? "
    assert nearest("--maxsize", FLAGS) == "Did you mean --max-size? "
    assert nearest("--zzzzzz", FLAGS) == ""
