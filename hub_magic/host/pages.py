"""Pages for a browser: about one model, and about what is served below a path."""

from __future__ import annotations

import os
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from .catalog import Model, ModelFile

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ padding: .75rem; overflow-x: auto; border: 1px solid; border-radius: .25rem }}
td, th {{ text-align: left; vertical-align: top; padding: .1rem 1.5rem .1rem 0; overflow-wrap: anywhere }}
td.size {{ text-align: right; white-space: nowrap }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def url_path(handle: str) -> str:
    """Return the handle as a URL's path ("/digits/classifier/1"), percent-encoded where needed."""
    return "/" + quote(os.fsencode(handle))


def model_page(model: Model, files: tuple[ModelFile, ...], archive_size: int | None, base: str) -> str:
    """Return the page about a model.

    Args:
        model: the model.
        files: the files of its folder; () when it has no folder.
        archive_size: the size of its ready archive in bytes; None when it has none.
        base: the host's URL as the browser knows it, without a slash at the end.
    """
    parts = model.handle.split("/")
    version = parts.pop() if len(parts) > 1 and parts[-1].isdecimal() else ""
    publisher, name = (parts[0], "/".join(parts[1:])) if len(parts) > 1 else ("", parts[0])
    address = base + url_path(model.handle)
    inside = [file for file in files if not file.name.endswith("/")]
    facts = [("Version", escape(version)), ("Publisher", escape(publisher))]
    if inside:
        size = sum(file.size for file in inside)
        facts.append(("Size", f"{_size(size)} in {len(inside)} file{'s' * (len(inside) != 1)}"))
    if archive_size is not None:
        facts.append(("Ready archive", _size(archive_size)))
    if model.folder or model.archive:
        facts.append(("Download", f'<a href="{escape(address)}.tar.gz">{escape(address)}.tar.gz</a>'))
    facts.append(("Bucket", escape(model.bucket)))
    rows = "".join(f"<tr><th>{label}</th><td>{value}</td></tr>\n" for label, value in facts if value)
    listing = "".join(
        f'<tr><td>{escape(file.name)}</td><td class="size">{_size(file.size)}</td></tr>\n' for file in inside
    )
    code = escape(f'import tensorflow_hub as hub\n\nmodel = hub.load("{address}")')
    body = f"<pre>{code}</pre>\n<table>\n{rows}</table>\n"
    if listing:
        body += f"<h2>Files</h2>\n<table>\n{listing}</table>\n"
    return _PAGE.format(title=escape(name), body=body + '<p><a href="/">All models</a></p>')


def folder_page(below: str, models: tuple[Model, ...]) -> str:
    """Return the page with the models below a path; "" is the root."""
    rows = "".join(
        f'<li><a href="{escape(url_path(model.handle))}">{escape(model.handle)}</a></li>\n'
        for model in models
    )
    body = (
        f"<ul>\n{rows}</ul>" if models else "<p>No models yet: add PUBLISHER/NAME/VERSION/saved_model.pb.</p>"
    )
    return _PAGE.format(title=escape(f"Models below {below}" if below else "Models"), body=body)


def _size(count: int) -> str:
    """Return a number of bytes in readable form: 812 bytes, 3.4 MB; 1 MB is 1,000,000 bytes."""
    if count < 1000:
        return f"{count} byte{'s' * (count != 1)}"
    amount = float(count)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"
