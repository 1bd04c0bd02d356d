"""The texts that users read are in plain English: none uses a word that the project has a better one for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import REPOSITORY

PACKAGE = REPOSITORY / "hub_magic"

# Wording that a message must not have, as a regular expression, and what to say instead.
BETTER = {
    r"(?:gives?|given|giving|gave)(?: \w+)? back": "return",
    r"hands? (?:it|them|over|out|back)": "return, send",
    r"by hand": "name the keys or the command",
    r"pass(?:es|ed)? (?:by|on to)": "skip",
    r"(?:(?:is|are|was|were|not|no|all|did not arrive) whole|no whole)": "intact, OK",
    r"(?:half(?:-| )downloads?|half a model|half emptied|half empty)": "partial download, damaged",
    r"(?:the dead left|of the dead|left by the dead)": "stale locks and partial downloads",
    r"lock left|locks? left by|left by process": "stale lock",
    r"(?:holder|hands|somebody else|anybody|whoever|nobody)": "lock owner, another process, another user",
    r"what (?:was|is) left|the remains|left out|would be left|are left": "leftovers, skipped, stay",
    r"set aside|out of the way": "quarantine",
    r"mend(?:s|ed|ing)?": "fix, repair",
    r"t(?:ake|akes|aken|ook|aking) (?:\w+ )?away": "remove, clean up",
    r"may go|(?:what|that) (?:would|may|must) go|will go|longest ago go": "remove",
    r"belong(?:s|ed)? to": "owned by",
    r"(?:is|are|it is|be|was|were|had been|have been) (?:not )?there": "exists, is cached, is present",
    r"there already|gone already|is there twice|not there yet": "already exists, already deleted, occurs twice",
    r"(?:not|cannot) be had": "is not available",
    r"(?:this|that|another|other|several|of the|your) machines?": "this computer",
    r"as told|looked at|looks? again|looking again": "you chose, measured, refresh",
    r"asked for|asks? for it|asks? for something|was asked for": "requested",
    r"used last longest ago|last used longest ago|longest ago": "least recently used",
    r"(?:are|is) two things|one after another thing": "cannot be combined",
    r"says? how to|give that as well": "only works with",
    r"needs? to know": "say what",
    r"fell silent|falls silent": "stopped responding",
    r"out of order": "has a server error",
    r"accepts? no connections?": "refused the connection",
    r"gives? no way|forbids? the way": "could not connect to",
    r"broke off|breaks off": "was lost",
    r"no (?:plain file|archive's name|name for a file|tar archive|such mode|readable|protocol buffer)": "not a ...",
    r"leads? out of|refers? back": "is outside of, contains backward links",
    r"absolute name": "absolute path",
    r"arrived whole|as (?:it was|they were) (?:written|exported|downloaded)": "its checksum does not match",
    r"cannot drive|drive (?:it|them)": "cannot use",
    r"cannot work here|no route is left|leave --\w+ out|take --\w+": "cannot be used, omit --via",
    r"nothing speaks against|speaks against": "no damage found",
    r"fault of|fault's|'s fault": "internal error, problem on the side of",
    r"taken as it stands|as it stands": "not expanded",
    r"for ever|trusted by": "keep loading",
    r"read by nobody|knows no such": "not a known variable, not a valid mode",
    r"quote blanks|\d words?, not|takes? \d+ words?": "takes 2 arguments, got 3",
    r"write it out|write the path out|write the whole": "use the full path, use the full URL",
    r"fits? \{?\d* ?\}? ?cached|give one of them in full": "matches, use the full handle",
    r"try again in a while|after a while": "try again later",
    r"too full|free some disk": "not enough disk space",
    r"wants? (?:a|an|consent)|a name and a password": "requires",
    r"looks? like it|in vain|without a word": "(say what happens)",
    r"beside the models|the models go": "other problems",
    r"deeply|to (?:its|the) end": "byte by byte",
    r"had been there|still wrong|going on": "already present, not repaired, in progress",
    r"plan is out of date": "the cache has changed",
    r"(?:set|chosen) by the variable": "set for this session",
    r"whose models (?:take|refuse)": "which accepts, which does not accept",
}
NOT_PLAIN = re.compile("|".join(rf"(?<![\w-])(?:{wording})(?![\w-])" for wording in BETTER), re.IGNORECASE)


def texts_of_python(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the string literals of a module that contain a space, with their lines; docstrings are skipped.

    A value that is put into a text stands as "{}".
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    skipped |= {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield node.lineno, text


def texts_of_javascript(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the string literals of a script, without its comments."""
    literal = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"
    script = path.read_text(encoding="utf-8")
    for found in re.finditer(rf"(?m)(?P<comment>(?<!:)//.*$|/\*[\s\S]*?\*/)|(?P<text>{literal})", script):
        if found["text"]:
            text = re.sub(r"\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", "{}", found["text"][1:-1])
            yield script.count("\n", 0, found.start()) + 1, text


def texts(path: Path) -> Iterator[tuple[int, str]]:
    return texts_of_python(path) if path.suffix == ".py" else texts_of_javascript(path)


def not_plain(path: Path) -> list[str]:
    """Return what a file says in words that the project has better ones for."""
    return [
        f"{path.name}:{line}: {match[0]!r} in {text!r}"
        for line, text in texts(path)
        if (match := NOT_PLAIN.search(text))
    ]


@pytest.mark.parametrize(
    "path",
    [*sorted(PACKAGE.rglob("*.py")), PACKAGE / "static" / "browser.js"],
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_texts_that_users_read_are_plain(path: Path) -> None:
    assert not_plain(path) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("raised.py", 'raise SettingError("--list and --verify are two things.")'),
        ("formatted.py", 'raise SettingError(f"{path} belongs to {owner}.")'),
        ("joined.py", 'raise SettingError(f"{path} belongs "\n    f"to {owner}.")'),
        ("printed.py", 'print("takes away what the dead left")'),
        ("help.py", 'option("--repair", help="mend the models")'),
        ("shown.py", 'COLUMN = Column("lock left by process 3")'),
        ("spoken.js", 'say("Looking again");'),
        ("templated.js", "say(`${count} models are left`);"),
    ],
)
def test_a_bad_message_is_found(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).write_text(f"{line}\n", encoding="utf-8")
    assert len(not_plain(tmp_path / name)) == 1


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("documented.py", 'def act() -> None:\n    """Take away what the dead left."""'),
        ("commented.py", "# somebody else mends it\nTEXT = 'is fine'"),
        ("plain.py", 'raise SettingError("There is no mode {mode}. Choose one.")'),
        ("commented.js", 'say("Fine"); // what the dead left'),
    ],
)
def test_what_users_do_not_read_is_not_judged(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).write_text(f"{line}\n", encoding="utf-8")
    assert not_plain(tmp_path / name) == []
