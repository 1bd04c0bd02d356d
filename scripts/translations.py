"""The translations of the README and the quickstart, and the English text that each section was made from.

`scripts/with-python scripts/translations.py` names the sections whose English has changed since they were
translated, and fails if there are any. With `--stamp`, after they have been translated anew, it records the
current English and copies the code of the English into the translations.

Standard library only, on any Python from 3.10 on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

LANGUAGES = {
    "en": "English",
    "ko": "한국어",
    "ja": "日本語",
    "pt-br": "Português (Brasil)",
    "es": "Español",
}
# A fingerprint is below the heading of its section in a README, and in a cell's metadata in a notebook.
MARK = re.compile(r"^<!-- english: (\w*) -->\n", re.MULTILINE)
KEY = "english"
# A block of code, from its fence to its fence.
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Section:
    """A piece of a document that is translated as one.

    Attributes:
        name: its heading, or its beginning.
        prose: its text without its code.
        code: its blocks of code, fences included, or the cells of code that follow.
        made_from: the fingerprint of the English it was translated from; in English, empty.
    """

    name: str
    prose: str
    code: tuple[str, ...] = ()
    made_from: str = ""

    @property
    def fingerprint(self) -> str:
        """A digest that changes with the words, and not with the line breaks."""
        return hashlib.sha256(" ".join(self.prose.split()).encode()).hexdigest()[:12]


def readme(language: str, root: Path = ROOT) -> Path:
    """Return the README in a language."""
    return root / "README.md" if language == "en" else root / "translations" / f"README.{language}.md"


def quickstart(language: str, root: Path = ROOT) -> Path:
    """Return the quickstart in a language: all are beside the file that makes their models."""
    return root / "notebooks" / ("quickstart.ipynb" if language == "en" else f"quickstart.{language}.ipynb")


DOCUMENTS = (readme, quickstart)


def sections(path: Path) -> tuple[Section, ...]:
    """Return the sections of a document, each with its name."""
    return read_sections(path.read_text(encoding="utf-8"), notebook=path.suffix == ".ipynb")


def read_sections(document: str, *, notebook: bool) -> tuple[Section, ...]:
    """Return the sections in the text of a document: of a notebook's file, or in Markdown."""
    if notebook:
        return _cells(document)
    found = []
    for text in split(document):
        mark = MARK.search(text)
        prose = BLOCK.sub("", MARK.sub("", text))
        found.append(Section(_name(text), prose, tuple(BLOCK.findall(text)), mark[1] if mark else ""))
    return tuple(found)


def _cells(document: str) -> tuple[Section, ...]:
    """Return the sections of a notebook: a cell of text and the cells of code below it."""
    found: list[Section] = []
    for cell in json.loads(document)["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            found.append(Section(_name(text), text, (), cell["metadata"].get(KEY, "")))
        else:
            found[-1] = replace(found[-1], code=(*found[-1].code, json.dumps(cell, sort_keys=True)))
    return tuple(found)


def split(text: str) -> list[str]:
    """Return the parts of a text in Markdown, split before each heading."""
    blocks = [(match.start(), match.end()) for match in BLOCK.finditer(text)]
    headings = (match.start() for match in re.finditer(r"^#+ ", text, re.MULTILINE))
    starts = [at for at in headings if not any(start <= at < end for start, end in blocks)]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def behind(english: Path, translation: Path) -> list[str]:
    """Return what to do about a translation, a line for each section; nothing when it is up to date."""
    there, here = sections(english), sections(translation)
    where = translation.name
    if len(there) != len(here):
        return [f"{where} has {len(here)} sections, and {english.name} {len(there)}: bring the missing over"]
    found = []
    for theirs, ours in zip(there, here, strict=True):
        if ours.made_from != theirs.fingerprint:
            found.append(f"{where}, {ours.name!r}: the English, {theirs.name!r}, has changed since")
        if ours.code != theirs.code:
            found.append(f"{where}, {ours.name!r}: its code is not that of {theirs.name!r}")
    return found


def stamp(english: Path, translation: Path) -> None:
    """Record the current English in a translation, and copy the code of the English into it."""
    if len(sections(english)) != len(sections(translation)):
        sys.exit(f"{behind(english, translation)[0]}.")
    renew = _stamp_notebook if english.suffix == ".ipynb" else _stamp_readme
    translation.write_text(renew(english, translation), encoding="utf-8")


def _stamp_readme(english: Path, translation: Path) -> str:
    parts = []
    for theirs, text in zip(sections(english), split(translation.read_text(encoding="utf-8")), strict=True):
        heading, _, rest = MARK.sub("", text).partition("\n")
        if len(BLOCK.findall(rest)) != len(theirs.code):
            sys.exit(f"{translation.name}, {_name(text)!r}, needs {len(theirs.code)} blocks of code.")
        code = iter(theirs.code)
        rest = BLOCK.sub(lambda _, code=code: next(code), rest)
        parts.append(f"{heading}\n<!-- english: {theirs.fingerprint} -->\n{rest}")
    return "".join(parts)


def _stamp_notebook(english: Path, translation: Path) -> str:
    notebook = json.loads(english.read_text(encoding="utf-8"))
    prose = iter(_prose_cells(json.loads(translation.read_text(encoding="utf-8"))["cells"]))
    for theirs, cell in zip(sections(english), _prose_cells(notebook["cells"]), strict=True):
        cell["source"] = next(prose)["source"]
        cell["metadata"] = {**cell["metadata"], KEY: theirs.fingerprint}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _prose_cells(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [cell for cell in cells if cell["cell_type"] == "markdown"]


def _name(text: str) -> str:
    """Return the first line, as a name."""
    return text.partition("\n")[0].lstrip("# ").strip()


def main() -> int:
    """Return the exit status: 1 when a translation is behind."""
    parser = argparse.ArgumentParser(
        description="Name the translated sections whose English has changed since."
    )
    parser.add_argument(
        "--stamp", action="store_true", help="they are translated anew: record that, and copy the code"
    )
    stamped = parser.parse_args().stamp
    pairs = [(path("en"), path(language)) for path in DOCUMENTS for language in LANGUAGES if language != "en"]
    if stamped:
        for english, translation in pairs:
            stamp(english, translation)
    found = [line for english, translation in pairs for line in behind(english, translation)]
    print("\n".join(found) or "Every translation is of the English of today.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
