"""A location for a cache: a directory, or a folder in a bucket.

The module is separate from `settings`, because reading a location does not need the settings.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .errors import SettingError

# Source: "Bucket names" and "Object names" in the manual of Google Cloud Storage.
_LABEL = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
_BUCKET = rf"gs://(?=[^/]{{3,222}}(/|$)){_LABEL}(\.{_LABEL})*(/(?!\.{{0,2}}/|\.{{1,2}}$)[^/\r\n]*)*"

_LONGEST = 4096  # bytes; no system takes a longer path


def is_bucket(location: str) -> bool:
    """Return whether the location is in Google Cloud Storage."""
    return location.startswith("gs://")


def read_location(text: str, env: Mapping[str, str]) -> str:
    """Return the location that a user means: `~` and `$VAR` expanded, a relative path made absolute.

    Raises:
        SettingError: the text is empty, names an unset variable, an unknown scheme or an impossible bucket,
            or is a path of Windows on another system.
    """
    if not text.strip() or "\0" in text:
        raise SettingError(
            f"The cache location {text!r} is empty or contains a NUL character. Give a directory or gs://bucket/path."
        )
    try:
        length = len(os.fsencode(text))
    except UnicodeError as error:
        raise SettingError(f"The cache location {text!r} cannot be the name of a folder.") from error
    if length > _LONGEST:
        raise SettingError(f"The cache location has {length:,} bytes, more than {_LONGEST:,}.")
    refuse_windows_path(text)
    expanded = re.sub(
        r"\$(?:\{(\w+)\}|(\w+))", lambda found: _variable(found[1] or found[2], text, env), text
    )
    if expanded.startswith("gs:"):
        if not re.fullmatch(_BUCKET, expanded):
            raise SettingError(
                f"{expanded!r} is not a bucket's address. Write it as gs://BUCKET/PATH, in lower case."
            )
        return expanded.rstrip("/")
    expanded = plain_path(expanded)
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", expanded):
        raise SettingError(
            f"A cache cannot be at {scheme[1]}://. Give a directory or gs://bucket/path, not {text!r}."
        )
    if expanded.startswith("~"):
        home = os.path.expanduser(expanded)  # Path raises where there is no such user
        if home.startswith("~"):
            user = expanded.split("/")[0]
            raise SettingError(f"There is no home folder for {user!r}. Write the full path.")
        expanded = home
    return os.path.abspath(expanded)  # Path.resolve would follow links the user chose


def is_foreign(location: str) -> bool:
    """Whether the location is neither a directory nor in Google Cloud Storage, as with s3:// or hdfs://.

    tensorflow_hub may use such a cache through a file system of TensorFlow's; hub_magic leaves it alone.
    """
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", location) is not None and not is_bucket(location)


def plain_path(location: str) -> str:
    """The path that TensorFlow's file system makes of a `file://` location; any other location as it is."""
    if not location.startswith("file://"):
        return location
    return location[location.find("/", len("file://")) :] if "/" in location[len("file://") :] else location


def refuse_windows_path(text: str) -> None:
    r"""Refuse a path of Windows on another system, where a folder named `C:\models` would be made of it.

    Raises:
        SettingError: it is such a path.
    """
    if os.name != "nt" and re.match(r"[A-Za-z]:[\\/]|[A-Za-z]:\Z|\\\\", text) and not os.path.lexists(text):
        raise SettingError(
            f"{text} is a Windows path, and this kernel does not run on Windows. "
            "Give a path of the computer that the kernel runs on, for example ~/models."
        )


def absolute(location: str) -> str:
    """Return the location without a relative part: links stay as the user wrote them; gs:// as it is."""
    if is_foreign(location):
        return location
    return location.rstrip("/") if is_bucket(location) else os.path.abspath(location)


def prepare_location(location: str) -> None:
    """Make sure that a directory exists and can be written; a bucket is asked when it is used.

    Raises:
        SettingError: it is a file, cannot be created, or cannot be written.
    """
    if not is_bucket(location):
        prepare_directory(location)


def read_bucket(text: str, option: str, env: Mapping[str, str]) -> str:
    """Return the gs:// address that a user means.

    Args:
        text: what the user wrote.
        option: the option that it was written for, which the message names.
        env: the environment, for `$VAR`.

    Raises:
        SettingError: it is no bucket's address.
    """
    location = read_location(text, env)
    if not is_bucket(location):
        raise SettingError(f"{option} {text!r} is not a bucket's address. Write it as gs://BUCKET/PATH.")
    return location


def prepare_directory(location: str) -> None:
    """Create the directory if needed and check that it can be written. On failure nothing is left behind.

    Raises:
        SettingError: it is a file, cannot be created, or cannot be written.
    """
    path = Path(location)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        for folder in missing:
            if folder.is_dir():
                folder.rmdir()
        raise SettingError(_why_unusable(path, error)) from error


def _variable(name: str, text: str, env: Mapping[str, str]) -> str:
    if not env.get(name):
        raise SettingError(f"{text!r} uses ${name}, which is not set. Set it first, or write the full path.")
    return env[name]


def _why_unusable(path: Path, error: OSError) -> str:
    existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    if not existing.is_dir():
        what = "is a file" if existing.exists() else "is a link that leads nowhere"
        return f"The cache cannot be at {path}: {existing} {what}. Choose another directory."
    owner = ""
    if hasattr(os, "getuid") and existing.stat().st_uid != os.getuid():
        owner = f", owned by {_owner(existing)},"
    return (
        f"The cache cannot be at {path}: cannot write to {existing}{owner} ({error.strerror}). "
        "Use your own directory: %hub_cache ~/.cache/tfhub_modules"
    )


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:  # a user id without a name, as in many containers
        return f"user {path.stat().st_uid}"
