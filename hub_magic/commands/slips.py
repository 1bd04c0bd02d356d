"""Slips of the keyboard: what a line means without them, and which are refused with the right line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ..errors import SettingError
from ..locations import refuse_windows_path

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_SINGLE_QUOTES = "\u2018\u2019\u201a\u201b\u2039\u203a\u2032"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u301d\u301e\uff02"
_QUOTES = _SINGLE_QUOTES + _DOUBLE_QUOTES
_SEMICOLONS = ";\uff1b"
# Pasted text has these between or inside words; nobody sees them.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
# A shell gives these a meaning, a magic does not.
_SHELL_SIGNS = ";|&<>*?`\"'"
_STRAY_ENDS = ",:!.)]}>"
# What other tools call these things.
_SYNONYMS = {
    "ls": "--list",
    "show": "--list",
    "models": "--list",
    "rm": "--remove",
    "delete": "--remove",
    "del": "--remove",
    "uninstall": "--remove",
    "download": "--fetch",
    "get": "--fetch",
    "pull": "--fetch",
    "install": "--fetch",
    "load": "--fetch",
    "clean": "--prune",
    "clear": "--prune",
    "check": "--verify",
    "fix": "--repair",
    "import": "--add",
    "save": "--persist",
    "mv": "--move-to",
    "cp": "--copy-to",
    "where": "--list",
    "reset": "default",
    "help": "--help",
}
_MODEL_HOSTS = ("tfhub.dev/", "kaggle.com/", "www.kaggle.com/")


class Quoted(str):
    """A word that stood in quotes: what looks like a slip is meant."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CleanLine:
    """A magic's line without what is ignored.

    Attributes:
        text: the line without a comment, without a semicolon at its end, and with plain blanks.
        is_silent: whether it ended in a semicolon, which suppresses the result as in any cell.
    """

    text: str
    is_silent: bool


def clean_line(text: str) -> CleanLine:
    """Return a line without its comment and the semicolon at its end. What stands in quotes stays."""
    kept: list[str] = []
    quote = ""
    begins = True  # whether a word begins here
    in_quotes = 0  # how much of the line may not be cut
    for letter in text:
        if quote:
            kept.append(letter)
            if letter == quote:
                quote, begins, in_quotes = "", True, len(kept)
            continue
        if letter in _INVISIBLE:
            continue
        if letter in "#\uff03" and (begins or kept[-1] in _SEMICOLONS):
            break
        if begins and letter in "\"'":
            quote = letter
        begins = letter.isspace()
        kept.append(" " if begins else letter)
    if quote:  # left open: the line is refused, and shown as it stands
        return CleanLine(text.strip(), is_silent=False)
    body, end = "".join(kept[:in_quotes]), "".join(kept[in_quotes:]).rstrip()
    stripped = end.rstrip(_SEMICOLONS + " ")
    return CleanLine((body + stripped).strip(), is_silent=stripped != end)


def asks_help(line: str) -> bool:
    """Return whether a clean line has `--help` or `-h` outside quotes."""
    return bool(re.search(r"(?:^|\s)(?:--help|-h)(?:\s|$)", re.sub(r"(?<!\S)(['\"]).*?\1", "", line)))


def split_line(text: str, split: Callable[[str], list[str]]) -> list[str]:
    """Return the words of a clean line, those of one path joined.

    Args:
        text: the line.
        split: splits it at blanks and keeps quotes (IPython's `arg_split`).

    Raises:
        SettingError: a quotation mark is left open.
    """
    try:
        words = split(text)
    except ValueError as error:
        raise SettingError(
            f"{text!r} cannot be split into arguments: {error}. Close the quotation mark."
        ) from error
    return join_paths(words)


def is_quoted(word: str) -> bool:
    """Return whether a word stands in quotes, or did before they were removed."""
    return isinstance(word, Quoted) or (len(word) > 1 and word[0] == word[-1] and word[0] in "\"'")


def join_paths(words: Sequence[str]) -> list[str]:
    """Return the words, those of one path with blanks joined: `/content/drive/My`, `Drive/x`.

    Words are joined where the path exists, where the part of it with the blanks exists, or where a backslash
    stands before each blank.
    """
    joined: list[str] = []
    rest = list(words)
    while rest:
        count = _length_of_path(rest)
        path = " ".join(rest[:count])
        if count > 1:
            path = Quoted(path.replace("\\ ", " "))
        joined.append(path)
        del rest[:count]
    return joined


def _length_of_path(words: Sequence[str]) -> int:
    """Return how many of the first words are one path."""
    if os.name != "nt":
        escaped = next((count for count, word in enumerate(words, 1) if not word.endswith("\\")), len(words))
        if escaped > 1:
            return escaped
    if is_quoted(words[0]) or not (words[0].startswith(("/", "~", "$", ".")) or words[0][1:2] == ":"):
        return 1
    most = next(
        (count for count, word in enumerate(words) if word.startswith("-") or is_quoted(word)), len(words)
    )
    return next((count for count in range(most, 1, -1) if _has_blanks_on_disk(" ".join(words[:count]))), 1)


def _has_blanks_on_disk(path: str) -> bool:
    """Return whether a path exists, at least as far as its last blank."""
    path = os.path.expandvars(os.path.expanduser(path))
    end = path.find("/", path.rindex(" ")) if " " in path else -1
    return exists(path) or (end > 0 and exists(path[:end]))


def exists(path: str) -> bool:
    """Return whether there is such a file or folder; `~` and variables are expanded."""
    try:
        return os.path.lexists(os.path.expandvars(os.path.expanduser(path)))
    except ValueError:  # a NUL character
        return False


def check_words(
    words: Sequence[str], magic: str, flags: Sequence[str], positional: Sequence[str] = ()
) -> None:
    """Check that the words of a line are typed with the characters that mean something here.

    Args:
        words: the words, with their quotes.
        magic: the magic's name, for the right line.
        flags: its options.
        positional: the names of its other arguments.

    Raises:
        SettingError: a word has typographic dashes or quotes, is `name=value` or a Windows path, or
            another statement follows it.
    """
    plain = [word for word in words if not is_quoted(word)]
    for word in words:
        refuse_windows_path(word.strip("\"'"))
    for word in plain:
        if exists(word):
            continue
        if word[0] in _QUOTES or word[-1] in _QUOTES or re.match(rf"--?[\w-]+=[{_QUOTES}]", word):
            raise SettingError(
                f"{word} has typographic quotes, which do not quote on a line. "
                f"Type straight quotes: %{magic} {_straight(words)}"
            )
        if re.match(rf"-?[{_DASHES}]", word) or (word[0] == "-" and re.search(rf"^[^=]*[{_DASHES}]", word)):
            raise SettingError(f"{word} has a typographic dash. Type hyphens: %{magic} {_straight(words)}")
        if word[-1] in _SEMICOLONS or word[0] in _SEMICOLONS:
            raise SettingError(
                f"A magic takes the whole line, so {word!r} cannot end here. "
                "Put what follows the semicolon on a line of its own."
            )
        if assigned := re.match(r"(?P<name>[A-Za-z_][\w-]*)=(?P<value>.*)", word):
            raise SettingError(_right_option(assigned["name"], assigned["value"], magic, flags, positional))


def _straight(words: Sequence[str]) -> str:
    """Return the line with hyphens and straight quotes."""
    table = {ord(letter): "'" for letter in _SINGLE_QUOTES} | {ord(letter): '"' for letter in _DOUBLE_QUOTES}
    return " ".join(word if is_quoted(word) else _hyphens(word).translate(table) for word in words)


def _hyphens(word: str) -> str:
    found = re.match(rf"[-{_DASHES}]+(?=\w)", word)
    if found is None or not re.match(rf"-?[-{_DASHES}]", word):
        return word
    name, equals, value = word[found.end() :].partition("=")
    name = re.sub(rf"[{_DASHES}]", "-", name)
    return f"{'-' if name == 'h' else '--'}{name}{equals}{value}"


def _right_option(name: str, value: str, magic: str, flags: Sequence[str], positional: Sequence[str]) -> str:
    flag = f"--{name.replace('_', '-').lower()}"
    shown = quoted(value.strip("\"'")) if value else "VALUE"
    if flag in flags:
        right = f"%{magic} {flag} {shown}"
    elif positional:
        right = f"%{magic} {shown}"
    else:
        return f"'{name}={value}' is not an option. {nearest(flag, flags)}Help: %{magic} --help"
    return f"'{name}={value}' is not how arguments are written on a line. Write: {right}"


def usage_error(message: str, magic: str = "hub_cache") -> SettingError:
    """Return the error of a line whose options do not fit together; it says where help is."""
    return SettingError(f"{message} Help: %{magic} --help")


def quoted(text: str) -> str:
    """Return a word as it is typed on a line: in quotes where it has blanks."""
    return f'"{text}"' if re.search(r"[\s#;]", text) or not text else text


def nearest(word: str, words: Sequence[str]) -> str:
    """Return "Did you mean ...? " with the words that are spelt nearly like this one, or ""."""
    wanted = word.lower().replace("_", "-")
    if (known := _SYNONYMS.get(wanted.lstrip("-"))) in words:
        return f"Did you mean {known}? "
    names = {one.lstrip("-"): one for one in words}
    found = get_close_matches(wanted.lstrip("-"), names, 2, 0.6)
    return f"Did you mean {' or '.join(names[one] for one in found)}? " if found else ""


def check_location(text: str, flags: Sequence[str], *, may_be_bare: bool = False) -> None:
    """Check that a word is meant as a location, and is not a slip.

    Args:
        text: the word; `Quoted` if it stood in quotes.
        flags: the options of `%hub_cache`, one of which may have been meant.
        may_be_bare: whether the word follows an option that takes a location, so that `models` is one.

    Raises:
        SettingError: the word does not look like a location, or has a sign that paths seldom have.
    """
    if text == "default" or not text.strip() or exists(text):
        return
    refuse_windows_path(text)
    if re.match(r"https?:/", text) or text.lower().startswith(_MODEL_HOSTS):
        url = text if text.startswith("http") else f"https://{text}"
        raise SettingError(f"{text!r} is a model's address. Download it with %hub_cache --fetch {url}")
    has_letters = bool(re.search(r"\w", text))
    if has_letters and not is_quoted(text):
        _check_signs(text)
    if may_be_bare and has_letters:
        return
    if not has_letters or not (looks_like_location(text) or (is_quoted(text) and " " in text)):
        meant = nearest(text, [*flags, "--help", "default"]) or "Did you mean --list? "
        folder = f"./{text}" if has_letters else "./NAME"
        raise SettingError(
            f"{text!r} is not an option, and does not look like a location. {meant}"
            f"For a folder with this name: %hub_cache {quoted(folder)}"
        )


def looks_like_location(text: str) -> bool:
    """Return whether a word has what locations have: a slash, `~`, `$`, a dot, a scheme or a drive."""
    return (
        text.startswith("~") or any(sign in text for sign in "/$.") or bool(re.match(r"[A-Za-z]:|gs:", text))
    )


def _check_signs(text: str) -> None:
    if found := re.search(r"\{.*?\}", text):
        raise SettingError(
            f"{found[0]} in {text!r} was not replaced: it is not an expression that Python can evaluate now. "
            "Define the variable first."
        )
    if "\\" in text and os.name != "nt":
        raise SettingError(
            f"{text!r} has backslashes, which are not separators on this computer. "
            f"Write: %hub_cache {quoted(text.replace(chr(92), '/'))}"
        )
    bare = text.strip(_SHELL_SIGNS).lstrip("([{<").rstrip(_STRAY_ENDS + _SHELL_SIGNS)
    is_dots = re.fullmatch(r"(.*/)?\.{1,2}", text)
    if (text[-1] in _STRAY_ENDS and not is_dots) or any(sign in text for sign in _SHELL_SIGNS):
        meant = f"Did you mean {bare}? " if re.search(r"\w", bare) and bare != text else ""
        folder = text if looks_like_location(text) else f"./{text}"
        raise SettingError(
            f"{text!r} has a sign that paths seldom have. {meant}"
            f'If the folder has this name, quote it: %hub_cache "{folder}"'
        )
