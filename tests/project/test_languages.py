"""The README and the quickstart say the same in five languages, and a translation tells when it is behind."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from repository import REPOSITORY

sys.path.append(str(REPOSITORY / "scripts"))
translations = importlib.import_module("translations")

ADDRESS = re.search(r'^repository = "(.*)"$', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)[1]
FILES = f"{ADDRESS}/blob/main/" if ADDRESS else ""
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`+[^`]+`+")
# No sentence of English does without these, and none of the other languages has them.
ENGLISH = re.compile(r"\b(the|and|of|is|are|with|which|that|this|for|from|it|to)\b", re.IGNORECASE)
ALPHABETS = {"ko": re.compile(r"[가-힣]"), "ja": re.compile(r"[ぁ-んァ-ヶ一-龠]")}

Document = Callable[..., Path]
each_document = pytest.mark.parametrize("document", translations.DOCUMENTS, ids=lambda it: it.__name__)
each_language = pytest.mark.parametrize("language", list(translations.LANGUAGES))
each_translation = pytest.mark.parametrize("language", [it for it in translations.LANGUAGES if it != "en"])


def pairs(document: Document, language: str) -> list[tuple]:
    """Each section of the English beside that of the translation."""
    english, translated = (translations.sections(document(it)) for it in ("en", language))
    return list(zip(english, translated, strict=True))


def switch(document: Document, language: str) -> str:
    """The line at the top that leads to the other languages."""
    # The quickstarts are opened elsewhere, too: in Colab, or as copies that the demo makes.
    lonely = document is translations.quickstart and ADDRESS
    top, begin = (REPOSITORY, FILES) if lonely else (document(language).parent, "")
    links = (
        f"**{name}**" if other == language else f"[{name}]({begin}{os.path.relpath(document(other), top)})"
        for other, name in translations.LANGUAGES.items()
    )
    return " ·\n".join(links)


def pieces(prose: str) -> list[tuple[str, str]]:
    """Headings, rows of tables, items of lists and paragraphs: what each is, and its text."""
    found: list[tuple[str, str]] = []
    for line in prose.splitlines():
        kind = re.match(r"#+ |\||\* |\d+\. |$", line)
        if kind and kind[0] == "|":
            found.append((f"row of {len(CODE.sub('', line).split('|')) - 2}", line))
        elif kind:
            found.append((kind[0].strip() or "gap", line))
        elif found and found[-1][0] != "gap":
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line}")
        else:
            found.append(("paragraph", line))
    return [(kind, text) for kind, text in found if kind != "gap"]


def in_language(target: str, language: str) -> str:
    """Where a link of the English leads in a translation."""
    if target in {"README.md", f"{FILES}README.md"}:
        return target.replace("README.md", str(translations.readme(language).relative_to(REPOSITORY)))
    return target.replace("quickstart.ipynb", translations.quickstart(language).name)


def targets(prose: str, document: Path) -> list[str]:
    """Where links lead: an address, or a path from the repository's top."""
    return sorted(
        link if "://" in link else os.path.relpath(document.parent / link, REPOSITORY)
        for link in LINK.findall(prose)
    )


@each_document
@each_translation
def test_translations_are_up_to_date(document: Document, language: str) -> None:
    found = translations.behind(document("en"), document(language))
    assert found == [], (
        "Translate these anew, and then run `scripts/with-python scripts/translations.py --stamp`."
    )


@each_document
@each_language
def test_each_language_links_to_the_others(document: Document, language: str) -> None:
    assert switch(document, language) in translations.sections(document(language))[0].prose


@each_document
@each_translation
def test_headings_tables_and_lists_have_their_counterparts(document: Document, language: str) -> None:
    for english, translated in pairs(document, language):
        kinds = [[kind for kind, _ in pieces(section.prose)] for section in (english, translated)]
        assert kinds[0] == kinds[1], translated.name


@each_document
@each_translation
def test_commands_and_names_are_the_same(document: Document, language: str) -> None:
    for english, translated in pairs(document, language):
        assert set(CODE.findall(translated.prose)) == set(CODE.findall(english.prose)), translated.name


@each_document
@each_translation
def test_links_lead_to_the_page_in_the_same_language(document: Document, language: str) -> None:
    for english, translated in pairs(document, language):
        there = targets(english.prose.replace(switch(document, "en"), ""), document("en"))
        here = targets(translated.prose.replace(switch(document, language), ""), document(language))
        assert here == sorted(in_language(target, language) for target in there), translated.name


@each_document
@each_language
def test_links_lead_to_files_that_are_there(document: Document, language: str) -> None:
    for section in translations.sections(document(language)):
        for target in targets(section.prose, document(language)):
            path = target.removeprefix(FILES)
            assert not re.match("https?://github", path), (
                "no link leads to GitHub but to the project's address"
            )
            assert "://" in path or (REPOSITORY / path.partition("#")[0]).exists(), target


@each_language
def test_badges_open_the_quickstart_of_the_language_once_there_is_an_address(language: str) -> None:
    name = translations.quickstart(language).name
    repository = ADDRESS.removeprefix("https://github.com/")
    for document in translations.DOCUMENTS:
        links = LINK.findall(translations.sections(document(language))[0].prose)
        if not ADDRESS:
            assert [link for link in links if "colab" in link or "binder" in link] == []
            continue
        assert f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}" in links
        assert f"https://mybinder.org/v2/gh/{repository}/main?labpath=notebooks%2F{name}" in links


@each_document
@each_translation
def test_no_paragraph_is_left_in_english(document: Document, language: str) -> None:
    for english, translated in pairs(document, language):
        theirs = {text for _, text in pieces(english.prose)}
        for _, text in pieces(translated.prose.replace(switch(document, language), "")):
            words = LINK.sub("]", CODE.sub("", text))
            assert not ENGLISH.search(words), text
            if len(re.findall(r"[^\W\d_]{2,}", words)) > 4 and not words.startswith("[!["):
                assert text not in theirs
                assert language not in ALPHABETS or ALPHABETS[language].search(words), text


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The documents in a folder of their own, to be changed."""
    for document in translations.DOCUMENTS:
        for language in translations.LANGUAGES:
            document(language, tmp_path).parent.mkdir(exist_ok=True)
            shutil.copy(document(language), document(language, tmp_path))
    return tmp_path


@each_document
def test_a_change_of_the_english_is_noticed_and_named(document: Document, copy: Path) -> None:
    english, translation = document("en", copy), document("ko", copy)
    section, here = (translations.sections(path)[1] for path in (english, translation))
    text = english.read_text(encoding="utf-8")
    name = section.name
    english.write_text(text.replace(f"## {name}", f"## {name} it", 1), encoding="utf-8")
    told = f"{translation.name}, {here.name!r}: the English, {name + ' it'!r}, has changed since"
    assert translations.behind(english, translation) == [told]
    translations.stamp(english, translation)
    assert translations.behind(english, translation) == []
    # Broken anew, the lines are the same text.
    english.write_text(text.replace(f"## {name}", f"##  {name} it", 1), encoding="utf-8")
    assert translations.behind(english, translation) == []


@each_document
def test_code_of_the_english_is_copied(document: Document, copy: Path) -> None:
    english, translation = document("en", copy), document("ja", copy)
    text = translation.read_text(encoding="utf-8")
    translation.write_text(text.replace("hub.load(", "hub.open("), encoding="utf-8")
    told = translations.behind(english, translation)
    assert told
    assert all("its code is not that of" in line for line in told)
    translations.stamp(english, translation)
    assert translation.read_text(encoding="utf-8") == text
