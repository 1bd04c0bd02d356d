"""Google Cloud's credentials, as far as files and variables tell, and the bucket that is the cache."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import SettingError
from ..locations import is_bucket
from .finding import Finding
from .location import better_place
from .surroundings import Surroundings

_FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
_NAME = "credentials"
# What TensorFlow's own look understands (`google_auth_provider.cc`).
_FOR_TENSORFLOW = ("service_account", "authorized_user")
_GIVEN_OUT_HERE = ("colab", "colab-enterprise", "workbench")


def check_credentials(here: Surroundings) -> Iterator[Finding]:
    """Whether a bucket can be logged in to, and whether it lets us in where that may be asked."""
    needed = is_bucket(here.cache)
    yield _credentials(here, needed=needed)
    if needed:
        yield _bucket(here)


def _credentials(here: Surroundings, *, needed: bool) -> Finding:
    named = here.env.get(_FILE_VARIABLE, "")
    if named:
        return _named_file(here, named, needed=needed)
    path = _well_known(here.env)
    if os.path.isfile(path):  # noqa: PTH113 - Path raises where it may not look
        return Finding(_NAME, "fine", f"a login of gcloud's in {path}")
    if not needed:
        return Finding(_NAME, "fine", "none, and none is needed: the cache is no bucket")
    if here.runtime.host in _GIVEN_OUT_HERE and here.fixes.in_notebook:
        fix = "from google.colab import auth; auth.authenticate_user()"
        return Finding(
            _NAME, "warning", "none in a file; this machine may give some out, or a login does", fix
        )
    fix = here.fixes.run("gcloud auth application-default login")
    return Finding(_NAME, "warning", "none in a file, and only machines of Google's give some out", fix)


def _named_file(here: Surroundings, path: str, *, needed: bool) -> Finding:
    without = here.fixes.unset(_FILE_VARIABLE)
    try:
        kind = str(json.loads(Path(path).read_text(encoding="utf-8"))["type"])
    except OSError as error:
        found = f"{_FILE_VARIABLE} names {path}, which cannot be read ({error.strerror})"
        return Finding(_NAME, "problem", found, without)
    except (ValueError, KeyError, TypeError):  # no JSON, or not of this kind
        return Finding(_NAME, "problem", f"{_FILE_VARIABLE} names {path}, which is no key file", without)
    if needed and kind not in _FOR_TENSORFLOW:
        found = f"{path} is of the kind {kind}, which TensorFlow does not read"
        return Finding(_NAME, "problem", found, without)
    return Finding(_NAME, "fine", f"{kind.replace('_', ' ')} in {path}")


def _well_known(env: Mapping[str, str]) -> Path:
    """Where gcloud puts a login: `google/auth/_cloud_sdk.py`."""
    folder = env.get("CLOUDSDK_CONFIG", "")
    if not folder and os.name == "nt":
        folder = os.path.join(env.get("APPDATA", ""), "gcloud")  # noqa: PTH118 - may be a relative nothing
    folder = folder or os.path.expanduser("~/.config/gcloud")  # noqa: PTH111 - Path raises where no home is
    return Path(folder, "application_default_credentials.json")


def _bucket(here: Surroundings) -> Finding:
    name, location = "bucket", here.cache
    if not here.is_online:
        found = f"{location} has not been asked; --online does"
        return Finding(name, "unknown", found, here.fixes.ask_others())
    from ..gcs import check_bucket

    try:
        access = check_bucket(location, runtime=here.runtime)
    except SettingError as error:
        return Finding(name, "problem", str(error), here.fixes.cache_at(better_place(location)))
    if access.refusal:
        return Finding(name, "problem", access.refusal, here.fixes.cache_at(better_place(location)))
    found = f"{location} can be listed, read and written by {access.identity}"
    return Finding(
        name, "fine", f"{found}; the worker reads it as {access.reader}" if access.reader else found
    )
