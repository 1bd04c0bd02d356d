"""Checks of variables that are misspelt, or that tensorflow_hub misreads silently."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches

from ..errors import SettingError
from ..keras import KERAS_2_WORDS
from ..locations import read_location
from ..settings import (
    CACHE_VARIABLE,
    KERAS_VARIABLE,
    MODE_FORMATS,
    MODE_VARIABLE,
    MODES,
    OFFLINE_VARIABLE,
    TIMEOUT_VARIABLE,
    is_offline,
    read_mode,
    read_timeout,
)
from ..store import open_store
from .context import Fixes, Surroundings
from .diagnosis import Finding

_CERTIFICATES = "TFHUB_DISABLE_CERT_VALIDATION"
KNOWN = (
    CACHE_VARIABLE,
    MODE_VARIABLE,
    "TFHUB_DOWNLOAD_PROGRESS",
    _CERTIFICATES,
    OFFLINE_VARIABLE,
    TIMEOUT_VARIABLE,
    KERAS_VARIABLE,
)
_CLOSE = 0.8
# Prefixes of other libraries, which have caches and hubs too.
_OTHERS = re.compile(r"(HF|HUGGING_?FACE|KAGGLE|PY_?TORCH|TORCH|JUPYTER|DOCKER|GIT)", re.IGNORECASE)
_NO = ("", "0", "false", "False")


def check_variables(here: Surroundings) -> Iterator[Finding]:
    """Yield findings about variables: names first, then values."""
    yield from _names(here.env, here.fixes)
    yield _mode(here.env, here.fixes)
    yield _cache(here.env, here.fixes)
    yield from _others(here.env, here.fixes)


def meant(name: str) -> str:
    """Return the variable that a misspelt name resembles; "" for a correct name, or another program's."""
    if name in KNOWN or _OTHERS.match(name) or not re.fullmatch(r"[A-Za-z_]\w*", name):
        return ""
    letters = _letters(name)
    ratio, known = max((SequenceMatcher(None, letters, _letters(known)).ratio(), known) for known in KNOWN)
    return known if ratio >= _CLOSE else ""


def _letters(name: str) -> str:
    return name.replace("_", "").upper().replace("TENSORFLOW", "TF")


def _names(env: Mapping[str, str], fixes: Fixes) -> Iterator[Finding]:
    found = [(name, known) for name in sorted(env) if (known := meant(name))]
    for name, known in found:
        if known in env:
            words = f"{name} is not a known variable; {known} is set as well"
            yield Finding("variables", "warning", words, fixes.unset(name))
        else:
            words = f"{name} is not a known variable; the name is {known}"
            yield Finding("variables", "problem", words, fixes.rename(name, known))
    if not found:
        given = [name for name in KNOWN if name in env]
        yield Finding(
            "variables", "fine", f"set: {', '.join(given)}" if given else "none is set, or misspelt"
        )


def _mode(env: Mapping[str, str], fixes: Fixes) -> Finding:
    setting = read_mode(env=env)
    raw = env.get(MODE_VARIABLE, "")
    if setting.name == OFFLINE_VARIABLE or not raw or raw in MODE_FORMATS.values():
        where = f"by {setting.name}" if setting.name else "by default"
        return Finding("mode", "fine", f"{setting.value}, {where}")
    word = raw.strip().strip("\"'").lower()
    close = get_close_matches(word, MODES, 1) or ["compressed"]
    found = f"{MODE_VARIABLE}={raw!r} is not a valid mode; tensorflow_hub would treat URLs as file paths"
    return Finding("mode", "problem", found, fixes.mode(close[0]))


def _cache(env: Mapping[str, str], fixes: Fixes) -> Finding:
    """Check the variable's value only; other checks look at the location."""
    name, raw = CACHE_VARIABLE, env.get(CACHE_VARIABLE, "")
    if not raw:
        return Finding(name, "fine", "not set, so models are cached in the library's own location")
    quoted = raw.strip().strip("\"'")
    try:
        location = read_location(quoted, env)
    except SettingError as error:
        said = str(error).partition(". ")[0]
        return Finding(name, "problem", said, fixes.cache_at("~/.cache/tfhub_modules"))
    if open_store(location).is_remote or raw == location:
        return Finding(name, "fine", raw)
    if os.path.isabs(raw):
        unlike = any(sign in raw for sign in "$\"'") or raw != raw.strip()
        if not unlike:
            return Finding(name, "fine", raw)
        found = f"{raw!r} is not expanded to {location}"
    elif raw[0] in "~$\"' ":
        found = f"{raw[0]!r} is not expanded: TensorFlow Hub would use ./{raw}"
    else:
        found = f"{raw!r} is relative, so each working directory has a different cache"
        return Finding(name, "warning", found, fixes.cache_at(location))
    return Finding(name, "problem", found, fixes.cache_at(location))


def _others(env: Mapping[str, str], fixes: Fixes) -> Iterator[Finding]:
    certificates = env.get(_CERTIFICATES, "")
    if certificates == "true":
        found = "certificates are not checked, so an attacker on the network can replace models"
        yield Finding(_CERTIFICATES, "warning", found, fixes.unset(_CERTIFICATES))
    elif certificates not in _NO:
        found = f"{certificates!r} has no effect: tensorflow_hub accepts only true"
        yield Finding(_CERTIFICATES, "warning", found, fixes.unset(_CERTIFICATES))
    offline = env.get(OFFLINE_VARIABLE, "")
    if offline.lower() not in (*_NO, "no", "off") and not is_offline(env):
        found = f"{offline!r} is not a yes/no value, so models are downloaded"
        yield Finding(OFFLINE_VARIABLE, "warning", found, fixes.mode("offline"))
    try:
        read_timeout(env)
    except SettingError as error:
        yield Finding(TIMEOUT_VARIABLE, "problem", str(error), fixes.unset(TIMEOUT_VARIABLE))
    keras = env.get(KERAS_VARIABLE, "")
    if keras not in (*_NO, *KERAS_2_WORDS):
        found = f"{keras!r} has no effect: TensorFlow accepts only 1, true or True"
        yield Finding(KERAS_VARIABLE, "warning", found, fixes.set(KERAS_VARIABLE, "1"))
