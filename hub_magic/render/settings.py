"""Settings in words: what is in force, who set it, and what it means."""

from __future__ import annotations

import shlex
from typing import TypeAlias

from ..keras import KerasSetting
from ..quantities import plural, size
from ..settings import (
    MODE_FORMATS,
    MODE_VARIABLE,
    MODES,
    OFFLINE_VARIABLE,
    CacheSetting,
    ModeSetting,
    Setting,
)
from ..store import open_store
from .tables import html_lines, plain

Shown: TypeAlias = ModeSetting | CacheSetting | KerasSetting

_MEANINGS = {
    "compressed": "archives are downloaded once, unpacked and cached",
    "auto": "archives are downloaded once, unpacked and cached (tensorflow_hub's own AUTO)",
    "uncompressed": "models are read from their host's bucket, and nothing is cached",
    "offline": "cached models load, and anything else fails at once",
}


def mode_lines(setting: ModeSetting) -> tuple[str, ...]:
    """Return lines about the mode, and who set it."""
    if not setting.is_known:
        return (
            f"{setting.value} is not a valid mode; tensorflow_hub would treat URLs as file paths.",
            f"{_origin(setting)} Set one of {', '.join(MODES)} with %hub_mode.",
        )
    lines = (f"{setting.value}: {_MEANINGS[setting.value]}.", _origin(setting))
    return (*lines, f"Chosen because {setting.reason}.") if setting.reason else lines


def cache_lines(setting: CacheSetting) -> tuple[str, ...]:
    """Return lines about the cache's location, and who set it."""
    if open_store(setting.value).is_remote:
        meaning = "Models are cached in this bucket, where every computer with access to it finds them."
    elif setting.source == "default":
        meaning = "Temporary files may be deleted; %hub_cache ~/.cache/tfhub_modules keeps them."
    else:
        meaning = f"Models are cached in this {'new ' if setting.is_new else ''}directory."
    lines = (setting.value, f"{_origin(setting)} {meaning}")
    return (*lines, *_left_lines(setting)) if setting.left_at else lines


def _left_lines(setting: CacheSetting) -> tuple[str, ...]:
    verb, pronoun = ("stays", "it") if setting.left_models == 1 else ("stay", "them")
    models = f"{plural(setting.left_models, 'model')}, {size(setting.left_bytes)}"
    return (
        f"{models} {verb} in {setting.left_at}; --move-to takes {pronoun} along:",
        f"%hub_cache {_word(setting.left_at)}",
        f"%hub_cache --move-to {_word(setting.value)}",
    )


def _word(location: str) -> str:
    """Return a location as a word of a magic's line."""
    return f'"{location}"' if any(letter in " #;" for letter in location) else location


def keras_lines(setting: KerasSetting) -> tuple[str, ...]:
    """Return lines about which Keras tf.keras is, and who chose it."""
    meaning = "Models of tf.keras accept hub.KerasLayer; `import keras` is still Keras 3."
    return ("tf.keras is Keras 2, from tf_keras.", f"{_origin(setting)} {meaning}")


def export_line(setting: Setting) -> str:
    """Return the line that makes the same setting for programs outside IPython."""
    variables = {setting.name: setting.value}
    if isinstance(setting, ModeSetting):
        variables = {MODE_VARIABLE: MODE_FORMATS.get(setting.value, setting.value)}
        if setting.value == "offline":
            variables[OFFLINE_VARIABLE] = "1"
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return f"For other programs: export {words}"


def setting_text(setting: Shown) -> str:
    """Return a setting as text."""
    return "\n".join(plain(line) for line in _lines(setting))


def setting_html(setting: Shown) -> str:
    """Return a setting as HTML."""
    return f"<div>{html_lines(_lines(setting))}</div>"


def _lines(setting: Shown) -> tuple[str, ...]:
    if isinstance(setting, KerasSetting):
        lines = keras_lines(setting)
    else:
        lines = mode_lines(setting) if isinstance(setting, ModeSetting) else cache_lines(setting)
    return (*lines, export_line(setting)) if setting.source == "saved" and setting.name else lines


def _origin(setting: Setting) -> str:
    return {
        "default": "This is the library's default.",
        "variable": f"Set for this session ({setting.name}).",
        "flag": f"Set by the flag {setting.name}.",
        "saved": f"Saved in this IPython profile with --persist ({setting.name}).",
    }[setting.source]
