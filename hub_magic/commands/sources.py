"""What `--fetch` takes: handles, pasted calls, model pages, and the handles in notebooks and scripts."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..cache.layout import GRAPHS
from ..errors import HandleError

# Functions of tensorflow_hub whose first argument is a handle.
_LOADERS = frozenset(
    {
        "load",
        "resolve",
        "KerasLayer",
        "Module",
        "load_module_spec",
        "text_embedding_column",
        "text_embedding_column_v2",
        "sparse_text_embedding_column",
        "image_embedding_column",
    }
)
_CALL = re.compile(
    rf"(?:\w+\s*=\s*)?(?:\w+\.)*(?:{'|'.join(sorted(_LOADERS))})\("
    r"""\s*(?:\w+\s*=\s*)?(?P<quote>["'])(?P<handle>[^"'\s]+)(?P=quote)(?:[^()]|\([^()]*\))*\)"""
)
_TFHUB = re.compile(r"https?://(?:www\.)?tfhub\.dev/[\w.-]+/[\w./-]+")
_KAGGLE = re.compile(r"https?://(?:www\.)?kaggle\.com/models/(?:[\w.-]+/){3}[\w./-]+")
_PYTHON_CELLS = re.compile(r"%%(?:hub_tpu|time|timeit|capture|prun)\b")
_OTHER_LINE = re.compile(r"(\s*)(?:[\w, .\[\]\"']+=\s*)?[%!?]")
_LARGEST_FILE = 50_000_000  # bytes; a notebook with pictures has a few million
_MOST_FILES = 10_000
_SKIPPED_FOLDERS = frozenset({"node_modules", "site-packages", "__pycache__"})


def unpack_calls(text: str) -> str:
    """Return a line with the handle in place of each pasted call, such as `hub.load("...")`."""
    return _CALL.sub(lambda found: found["handle"], text)


def handles_of(words: Iterable[str]) -> list[str]:
    """Return the handles that words stand for, each once.

    Args:
        words: handles, pasted calls, addresses of model pages, and paths of notebooks, scripts and folders.

    Raises:
        HandleError: a file cannot be read, or has no handles.
    """
    found: dict[str, None] = {}
    for word in words:
        found.update(dict.fromkeys(handles_in(word) if has_code(word) else [handle_of(word)]))
    return list(found)


def handle_of(word: str) -> str:
    """Return the handle in a word: that of a call, or of a model's page."""
    word = unpack_calls(word)
    if "://" in word:  # pasted from a list or from prose
        word = word.strip("<>`,;\"'")
    if not re.match(r"https?://", word):
        return word
    try:
        url = urlsplit(word)
    except ValueError:  # `parse_handle` explains it
        return word
    host = (url.hostname or "").removeprefix("www.")
    query = [] if host in {"tfhub.dev", "kaggle.com"} else parse_qsl(url.query, keep_blank_values=True)
    kept = [(name, value) for name, value in query if name != "tf-hub-format"]
    path = url.path
    if host == "kaggle.com" and path.startswith("/models/"):
        long = r"(/models/[^/]+/[^/]+)/frameworks/([^/]+)/variations/([^/]+)(?:/versions/([^/]+))?/?"
        if parts := re.fullmatch(long, path, re.IGNORECASE):
            path = "/".join(part for part in parts.groups() if part)
    if not url.fragment and path == url.path and kept == parse_qsl(url.query, keep_blank_values=True):
        return word  # every character counts: the cache's folder is named after the handle
    return urlunsplit((url.scheme, url.netloc, path, urlencode(kept), ""))


def has_code(word: str) -> bool:
    """Return whether a word is a notebook, a script, or a folder that is not a model itself."""
    path = Path(word).expanduser()
    try:
        if path.is_dir():
            return not any((path / name).exists() for name in GRAPHS)
        return path.suffix in {".ipynb", ".py"} and path.is_file()
    except (OSError, ValueError):
        return False


def handles_in(word: str) -> list[str]:
    """Return the handles in the code of a notebook, a script, or all of them below a folder. Nothing is run.

    Raises:
        HandleError: a file cannot be read, or there are no handles.
    """
    path = Path(word).expanduser()
    found: list[str] = []
    if path.is_dir():
        for file in _code_files(path):
            try:
                found += _handles_in_file(file)
            except HandleError:  # one bad file does not spoil the folder
                continue
    else:
        found = _handles_in_file(path)
    if not found:
        raise HandleError(
            f"The code in {word} names no model's URL that can be found without running it. "
            "Give the URLs themselves."
        )
    return list(dict.fromkeys(found))


def _code_files(folder: Path) -> Iterator[Path]:
    count = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if one not in _SKIPPED_FOLDERS and not one.startswith("."))
        for name in sorted(names):
            if name.endswith((".ipynb", ".py")) and count < _MOST_FILES:
                count += 1
                yield Path(place, name)


def _handles_in_file(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise HandleError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > _LARGEST_FILE:
        raise HandleError(f"{path} is too large to search for handles.")
    text = content.decode("utf-8", errors="replace")
    if path.suffix != ".ipynb":
        try:
            return handles_in_code([ast.parse(text)])
        except (SyntaxError, ValueError, RecursionError) as error:
            raise HandleError(f"{path} is not Python that can be read: {error}.") from error
    try:
        cells = json.loads(text)["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        codes = ["".join(source) for source in sources]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HandleError(f"{path} is not a notebook that can be read.") from error
    return handles_in_code(_trees(codes))


def _trees(cells: Sequence[str]) -> list[ast.Module]:
    """Return the syntax trees of a notebook's cells; a cell that is not Python is skipped."""
    trees = []
    for cell in cells:
        lines = cell.strip("\n").splitlines()
        if lines and lines[0].startswith("%%") and not _PYTHON_CELLS.match(lines[0]):
            continue
        plain = [f"{found[1]}pass" if (found := _OTHER_LINE.match(line)) else line for line in lines]
        try:
            trees.append(ast.parse("\n".join(plain)))
        except (SyntaxError, ValueError, RecursionError):
            continue
    return trees


def handles_in_code(trees: Sequence[ast.Module]) -> list[str]:
    """Return the URLs that code gives to tensorflow_hub's functions, and other URLs at tfhub.dev and Kaggle.

    Names that stand for texts are followed where they are assigned as such.
    """
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = _assigned(nodes)
    hubs = _names_of_hub(nodes)
    found: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Call) and _is_loader(node.func, hubs):
            given = [*node.args[:1], *(one.value for one in node.keywords if one.arg in {"handle", "spec"})]
            found += [text for one in given for text in _texts(one, names) if _is_url(text)]
        elif isinstance(node, ast.Constant) and _is_at_known_host(node.value):
            found.append(str(node.value))
    return list(dict.fromkeys(handle_of(text) for text in found))


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return the expressions that each name is assigned, or that a loop over it reads."""
    names: dict[str, list[ast.expr]] = {}
    for node in nodes:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            targets, value = [node.target], node.value
        elif isinstance(node, (ast.For, ast.comprehension)):
            targets, value = [node.target], node.iter
        for target in targets:
            if isinstance(target, ast.Name):
                names.setdefault(target.id, []).append(value)
    return names


def _is_at_known_host(value: object) -> bool:
    return isinstance(value, str) and bool(_TFHUB.fullmatch(value) or _KAGGLE.fullmatch(value))


def _names_of_hub(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names by which code knows tensorflow_hub and the functions that it imports from there."""
    names = {"hub", "tfhub", "tensorflow_hub"}  # imported in another file
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {one.asname for one in node.names if one.name == "tensorflow_hub" and one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module == "tensorflow_hub":
            names |= {one.asname or one.name for one in node.names if one.name in _LOADERS}
    return names


def _is_loader(function: ast.expr, hubs: Collection[str]) -> bool:
    """Return whether a function is one of tensorflow_hub's, not such as `json.load`."""
    if isinstance(function, ast.Attribute):
        return (
            function.attr in _LOADERS and isinstance(function.value, ast.Name) and function.value.id in hubs
        )
    return isinstance(function, ast.Name) and function.id in hubs


def _is_url(text: str) -> bool:
    return bool(re.fullmatch(r"(?:https?|gs)://[^\s/]+/\S+", text))


def _texts(node: ast.expr, names: dict[str, list[ast.expr]], depth: int = 0) -> list[str]:
    """Return the texts that an expression may be, as far as constants tell."""
    if depth > 20:  # names that are made of themselves
        return []
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    parts: list[ast.expr] = []
    if isinstance(node, ast.Name):
        parts = names.get(node.id, [])[:50]
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        parts = node.elts
    elif isinstance(node, ast.Dict):
        parts = node.values
    elif isinstance(node, ast.Subscript):
        parts = [node.value]
    elif isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    elif isinstance(node, ast.JoinedStr):
        return _joined([_texts(_inner(one), names, depth + 1) for one in node.values])
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined([_texts(node.left, names, depth + 1), _texts(node.right, names, depth + 1)])
    return [text for one in parts for text in _texts(one, names, depth + 1)]


def _inner(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.FormattedValue) else node


def _joined(parts: Sequence[list[str]]) -> list[str]:
    """Return the texts that parts make, each part being one of several texts."""
    made = [""]
    for part in parts:
        made = [before + text for before in made for text in part][:100]
    return made
