"""The project's address in every file that shows it: badges, links, and lines that install.

pyproject.toml holds the address: `repository` in `[tool.hub_magic]`. `scripts/addresses` writes the other
places. Each place is a slot with two texts: one for a project without an address, one for a project with an
address. The files hold no marks: a slot is found by its texts, whichever of the two is there. Edit both texts
here when a file's wording changes.

Standard library only, on any Python from 3.10 on.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import translations

ROOT = Path(__file__).resolve().parent.parent
SETTING = re.compile(r'^\[tool\.hub_magic\]\n(?:#.*\n)*repository = "(.*)"$', re.MULTILINE)
# Colab and Binder open GitHub repositories by owner and name.
ADDRESS = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)(?<!\.git)")
# Words in braces in the text of a slot, and what they match in a file that was written for another address.
FIELDS = {
    "{address}": r"https://github\.com/[\w.-]+/[\w.-]+",
    "{repository}": r"[\w.-]+/[\w.-]+",
    "{name}": r"[\w.-]+",
}
# The first heading of a document, and the fingerprint below the heading in a translation.
TITLE = r"\A# .*\n(?:<!-- english: \w* -->\n)?\n"
# The heading and fingerprint of each README's section on installation.
INSTALL = r"^## (?:Install|설치|インストール|Instalação|Instalación)\n(?:<!-- english: \w* -->\n)?\n"
LESSONS = ("quickstart", "cache_browser", "offline", "bucket", "tpu", "migrate_to_kaggle")


class AddressError(Exception):
    """An address or a file that the script cannot use."""


@dataclass(frozen=True)
class Slot:
    """A place in a file.

    Attributes:
        name: what the place shows, for messages.
        without: the text while there is no address.
        given: the text for an address, with the words of `FIELDS`.
        before: a regular expression for the text before the place, which stays.
        varies: a regular expression for the given text, if other versions of the file have another text.
    """

    name: str
    without: str
    given: str
    before: str = ""
    varies: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """A pattern that matches either text; an empty one needs `before`."""
        words = re.split(r"(\{\w+\})", self.given)
        given = self.varies or "".join(FIELDS.get(word) or re.escape(word) for word in words)
        return re.compile(f"({self.before})(?:{given}|{re.escape(self.without)})", re.MULTILINE)

    def write(self, parts: list[str], repository: str) -> list[str]:
        """Return a file's parts with the text for this repository; an empty one means no address.

        Raises:
            AddressError: the parts do not have the place exactly once.
        """
        text = self.given if repository else self.without
        values = (f"https://github.com/{repository}", repository, repository.rpartition("/")[2])
        for field, value in zip(FIELDS, values, strict=True):
            text = text.replace(field, value)
        written = [self.pattern.subn(lambda found: found[1] + text, part) for part in parts]
        if (times := sum(count for _, count in written)) != 1:
            raise AddressError(f"the text of {self.name!r} is there {times} times, not once")
        return [part for part, _ in written]


def read_repository(root: Path) -> str:
    """Return owner and name of the repository, OWNER/NAME; empty while there is no address.

    Raises:
        AddressError: pyproject.toml has no setting, or an address of another form.
    """
    found = SETTING.search((root / "pyproject.toml").read_text(encoding="utf-8"))
    if found is None:
        raise AddressError('pyproject.toml has no `repository` in [tool.hub_magic]. Add: repository = ""')
    address = ADDRESS.fullmatch(found[1])
    if found[1] and address is None:
        raise AddressError(
            f"{found[1]} in pyproject.toml is not an address of the form https://github.com/OWNER/NAME."
        )
    return address[1] if address else ""


def slots(root: Path) -> dict[Path, tuple[Slot, ...]]:
    """Return the slots of each file."""
    found: dict[Path, tuple[Slot, ...]] = {
        root / "pyproject.toml": (PROJECT_URLS,),
        root / "CITATION.cff": (CITATION,),
        root / "SECURITY.md": (REPORTING,),
        root / "mkdocs.yml": (SOURCE,),
        root / "docs" / "colab.md": (COLAB,),
        root / "docs" / "index.md": (MANUAL, *map(lesson, LESSONS)),
        root / "CHANGELOG.md": (releases(root / "CHANGELOG.md"),),
    }
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        found[path] = (badges(path.name), FIRST_CELL)
    for language in translations.LANGUAGES:
        quickstart = translations.quickstart(language, root)
        readme = translations.readme(language, root)
        others = (it for it in translations.LANGUAGES if it != language)
        found[quickstart] += (*map(switch, others), more(readme.relative_to(root).as_posix()))
        found[readme] = (badges(quickstart.name), CLONE, PIP, PIP_TENSORFLOW)
    return found


def badges(notebook: str) -> Slot:
    """Return the slot of the badges that open a notebook."""
    place = f"notebooks/{notebook}"
    colab = f"https://colab.research.google.com/github/{{repository}}/blob/main/{place}"
    binder = f"https://mybinder.org/v2/gh/{{repository}}/main?labpath={quote(place, safe='')}"
    return Slot(
        "badges",
        "",
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})\n"
        f"[![Open on Binder](https://mybinder.org/badge_logo.svg)]({binder})\n\n",
        before=TITLE,
    )


def switch(language: str) -> Slot:
    """Return the slot of a quickstart's link to the quickstart in another language."""
    link, notebook = f"[{translations.LANGUAGES[language]}]", translations.quickstart(language).name
    return Slot(
        f"link to {notebook}", f"{link}({notebook})", f"{link}({{address}}/blob/main/notebooks/{notebook})"
    )


def more(readme: str) -> Slot:
    """Return the slot of a quickstart's link to the README."""
    return Slot("link to the README", "README", f"[README]({{address}}/blob/main/{readme})")


def lesson(name: str) -> Slot:
    """Return the slot of the manual's link to a notebook."""
    code = f"`{name}.ipynb`"
    return Slot(f"link to {name}", code, f"[{code}]({{address}}/blob/main/notebooks/{name}.ipynb)")


def releases(changelog: Path) -> Slot:
    """Return the slot of the links from versions to their releases, at the end of the changelog."""
    text = changelog.read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d.*?)\]", text, re.MULTILINE)
    links = "".join(f"[{it}]: {{address}}/releases/tag/v{it}\n" for it in versions)
    return Slot(
        "links to releases",
        "",
        f"\n{links}",
        before=r"\A(?s:(?!\n\[\d).)*",
        varies=r"\n(?:\[\d.*\]: .*\n)+",
    )


PROJECT_URLS = Slot(
    "project.urls",
    "",
    '[project.urls]\nRepository = "{address}"\n\n',
    before=r'^hub-magic = "hub_magic\.cli\.main:main"\n\n',
)
CITATION = Slot("repository-code", "", "repository-code: {address}\n", before=r"^license: .*\n")
SOURCE = Slot(
    "link to the source",
    "",
    "  social:\n    - icon: fontawesome/brands/github\n      link: {address}\n      name: Source\n",
    before=r"^extra:\n  generator: false\n",
)
REPORTING = Slot(
    "where holes are reported",
    """\
Please report a hole in private, to the maintainers who gave you this copy, and to nobody else before it is
mended. Say what an attacker controls, what happens, and how to see it; a failing test is the best
description. The newest release is the one that is mended.
""",
    """\
Please report a hole in private, with "Report a vulnerability" on the repository's
[security page]({address}/security), not in a public issue. Say what an attacker controls, what happens, and
how to see it; a failing test is the best description. The newest release is the one that is mended.
""",
)

# The READMEs: the same lines in every language.
CLONE = Slot(
    "git clone", "", "git clone {address}\ncd {name}\n", before=r"^```sh\n(?=(?:.+\n)*scripts/demo\n)"
)
PIP = Slot("pip install", "", "```\n%pip install git+{address}\n%load_ext hub_magic\n```\n\n", before=INSTALL)
PIP_TENSORFLOW = Slot(
    "pip install with TensorFlow",
    '`pip install ".[tensorflow]"`',
    '`%pip install "hub-magic[tensorflow] @ git+{address}"`',
)

# The manual.
MANUAL = Slot(
    "pip install",
    """\
In the folder of your copy of the repository:

```sh
pip install .
```

[Colab and Kaggle](colab.md#install) take a wheel instead. A notebook then begins with this line:

```text
%load_ext hub_magic
```
""",
    """\
```text
%pip install git+{address}
%load_ext hub_magic
```
""",
)
COLAB = Slot(
    "pip install",
    """\
so install without them. In a copy of the repository,
`scripts/build` makes a wheel and prints its path. Upload the wheel: to Colab in the panel *Files*, to Kaggle
as a data set. Then install the wheel from where it is:

```text
%pip install hub_magic-*.whl
%load_ext hub_magic
```

The path of a wheel in Drive is `/content/drive/MyDrive/hub_magic-*.whl`; on Kaggle the path begins with
`/kaggle/input/`.
""",
    """\
so install without them:

```text
%pip install git+{address}
%load_ext hub_magic
```
""",
)

# The notebooks: the end of the first cell of code.
FIRST_CELL = Slot(
    "first cell",
    """\
    else:
        print(
            "Run this notebook in a copy of hub_magic's repository. Or put notebooks/demo_models.py and the"
            " wheel that scripts/build makes beside this notebook, and run: %pip install hub_magic-*.whl"
        )""",
    """\
    else:  # on Colab, for example, where the notebook comes without its folder
        !git clone --quiet --depth 1 {address} hub_magic_clone
        %pip install --quiet ./hub_magic_clone
if Path("hub_magic_clone").exists():
    %cd -q hub_magic_clone/notebooks""",
)


def write(path: Path, places: tuple[Slot, ...], repository: str) -> str:
    """Return a file's text for a repository.

    Raises:
        AddressError: the file does not have each of the places once.
    """
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text) if path.suffix == ".ipynb" else None
    parts = ["".join(cell["source"]) for cell in notebook["cells"]] if notebook else [text]
    for slot in places:
        try:
            parts = slot.write(parts, repository)
        except AddressError as error:
            raise AddressError(
                f"{path.name}: {error}. Change the file, or the texts in scripts/address_lines.py."
            ) from None
    if notebook is None:
        return parts[0]
    for cell, source in zip(notebook["cells"], parts, strict=True):
        cell["source"] = source.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def keep_stamps(texts: dict[Path, str], root: Path) -> None:
    """Carry the fingerprints of translations over to the English of the new texts.

    A section that was behind its English before is behind it afterwards.
    """
    for document in translations.DOCUMENTS:
        english = document("en", root)
        sections = zip(
            translations.sections(english),
            translations.read_sections(texts[english], notebook=english.suffix == ".ipynb"),
            strict=True,
        )
        new = {before.fingerprint: after.fingerprint for before, after in sections}
        for language in translations.LANGUAGES:
            texts[document(language, root)] = re.sub(
                r'(<!-- english: |"english": ")(\w+)',
                lambda found, new=new: found[1] + new.get(found[2], found[2]),
                texts[document(language, root)],
            )


def changes(root: Path) -> dict[Path, str]:
    """Return the new text of each file whose text is not that of the address in pyproject.toml.

    Raises:
        AddressError: the address, or one of the files, is not what the script knows.
    """
    repository = read_repository(root)
    texts = {path: write(path, places, repository) for path, places in slots(root).items()}
    keep_stamps(texts, root)
    return {path: text for path, text in texts.items() if text != path.read_text(encoding="utf-8")}


def main() -> int:
    """Return the exit status: 1 when a file could not be written, or `--check` found a difference."""
    parser = argparse.ArgumentParser(
        prog="scripts/addresses",
        description="Write the address in pyproject.toml into every file that shows it, or remove it there.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a file differs")
    check = parser.parse_args().check
    try:
        changed = changes(ROOT)
    except AddressError as error:
        print(error, file=sys.stderr)
        return 1
    for path, text in changed.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT).as_posix()} {'differs' if check else 'written'}")
    if not changed:
        print("Every file shows the address in pyproject.toml.")
    return bool(check and changed)


if __name__ == "__main__":
    sys.exit(main())
