"""TensorFlow Hub's settings, read where they live: how models are fetched and where they are kept.

tensorflow_hub reads `os.environ` and absl's flags at every call. So a setting made here takes effect at the
next `hub.load`, before or after the import, and nothing is copied. Source of the rules:
`tensorflow_hub/resolver.py`, `get_env_setting`, `tfhub_cache_dir` and `model_load_format` (0.16.1).
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from .cell_values import CellValue, Shared
from .detours import add_detour, remove_detours
from .errors import SettingError
from .facts import Fact
from .import_hooks import ImportHook, pkg_resources_stand_in
from .locations import plain_path, prepare_location, read_location

Source = Literal["default", "variable", "flag", "saved"]

CACHE_VARIABLE = "TFHUB_CACHE_DIR"
MODE_VARIABLE = "TFHUB_MODEL_LOAD_FORMAT"
OFFLINE_VARIABLE = "HUB_MAGIC_OFFLINE"
TIMEOUT_VARIABLE = "HUB_MAGIC_TIMEOUT"
KERAS_VARIABLE = "TF_USE_LEGACY_KERAS"  # TensorFlow's own variable
VARIABLES = (CACHE_VARIABLE, MODE_VARIABLE, OFFLINE_VARIABLE, KERAS_VARIABLE)

MODE_FORMATS = {
    "compressed": "COMPRESSED",
    "uncompressed": "UNCOMPRESSED",
    "auto": "AUTO",
    "offline": "COMPRESSED",
}
MODES = tuple(MODE_FORMATS)


@dataclass(frozen=True)
class Setting(Fact):
    """A setting in force.

    Attributes:
        value: the mode's name in lower case, or the cache's location.
        source: the origin: the library's default, an environment variable, an absl flag, or a setting saved
            with `--persist`.
        name: the name of the variable or flag; "" for a default.
        reason: why hub_magic chose the value; "" if hub_magic did not.
    """

    value: str
    source: Source
    name: str = ""
    reason: str = ""


@dataclass(frozen=True)
class ModeSetting(Setting):
    """The mode in force.

    Attributes:
        is_known: whether tensorflow_hub acts on the mode; it silently ignores other spellings.

    Example:
        >>> read_mode().value
        'offline'
    """

    is_known: bool = True


@dataclass(frozen=True)
class CacheSetting(Setting):
    """The cache location in force.

    Attributes:
        is_new: whether the directory was made when the setting was.
        left_at: the location that was in force before, where models stay; "" if none do.
        left_models: how many models stay there.
        left_bytes: how many bytes they take.

    Example:
        >>> read_cache().source
        'variable'
    """

    is_new: bool = False
    left_at: str = ""
    left_models: int = 0
    left_bytes: int = 0


def read_mode(*, env: Mapping[str, str] | None = None, saved: str = "") -> ModeSetting:
    """Return the mode in force. An unknown spelling is returned unchanged (`is_known` is False).

    Args:
        env: the environment; `os.environ` when None.
        saved: the mode saved in the IPython profile; a variable with the same value came from there.

    Example:
        >>> read_mode().source
        'variable'
    """
    env = _environment() if env is None else env
    if is_offline(env):
        return ModeSetting("offline", "saved" if saved == "offline" else "variable", OFFLINE_VARIABLE)
    if raw := env.get(MODE_VARIABLE, ""):
        mode = next((name for name in MODES if MODE_FORMATS[name] == raw), "")
        source: Source = "saved" if mode and mode == saved else "variable"
        return ModeSetting(mode or raw, source, MODE_VARIABLE, is_known=bool(mode))
    if flag := _flag("tfhub_model_load_format"):
        return ModeSetting(flag.lower(), "flag", "--tfhub_model_load_format")
    return ModeSetting("compressed", "default")


def read_cache(*, env: Mapping[str, str] | None = None, saved: str = "") -> CacheSetting:
    """Return the cache location in force, which tensorflow_hub will use at its next call.

    Example:
        >>> read_cache().name
        'TFHUB_CACHE_DIR'
    """
    env = _environment() if env is None else env
    if raw := env.get(CACHE_VARIABLE, ""):
        return CacheSetting(plain_path(raw), "saved" if raw == saved else "variable", CACHE_VARIABLE)
    if flag := _flag("tfhub_cache_dir"):
        return CacheSetting(plain_path(flag), "flag", "--tfhub_cache_dir")
    return CacheSetting(default_cache(), "default")


def default_cache() -> str:
    """Return the library's own location: `tfhub_modules` in the system's temporary directory."""
    return os.path.join(tempfile.gettempdir(), "tfhub_modules")  # as tensorflow_hub joins it


def is_offline(env: Mapping[str, str] | None = None) -> bool:
    """Return whether only cached models may be loaded (`HUB_MAGIC_OFFLINE` is 1, true, yes or on)."""
    env = os.environ if env is None else env
    return env.get(OFFLINE_VARIABLE, "").strip().lower() in {"1", "true", "yes", "on"}


def read_timeout(env: Mapping[str, str] | None = None) -> float | None:
    """Seconds that a download's first try waits for a byte (`HUB_MAGIC_TIMEOUT`); None when not set.

    Raises:
        SettingError: the variable holds something else than a number of seconds.
    """
    env = os.environ if env is None else env
    text = env.get(TIMEOUT_VARIABLE, "").strip()
    if not text:
        return None
    from .quantities import parse_seconds

    return parse_seconds(text, TIMEOUT_VARIABLE)


def parse_mode(text: str) -> str:
    """Return the mode that a user's word means; case does not matter.

    Raises:
        SettingError: there is no such mode.
    """
    mode = text.strip().lower()
    if mode not in MODE_FORMATS:
        from difflib import get_close_matches

        near = get_close_matches(mode, MODES, 1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise SettingError(f"There is no mode {text!r}. {meant}The modes are {', '.join(MODES)}.")
    return mode


def set_mode(text: str, *, env: MutableMapping[str, str] | None = None) -> ModeSetting:
    """Set the mode for all later loads, in the spelling that the library accepts, and return it.

    Raises:
        SettingError: there is no such mode.

    Example:
        >>> set_mode("compressed").value
        'compressed'
    """
    env = os.environ if env is None else env
    mode = parse_mode(text)
    env[MODE_VARIABLE] = MODE_FORMATS[mode]
    if mode == "offline":
        env[OFFLINE_VARIABLE] = "1"
    else:
        env.pop(OFFLINE_VARIABLE, None)
    return read_mode(env=env)


def set_cache(text: str, *, env: MutableMapping[str, str] | None = None) -> CacheSetting:
    """Set the cache's location for all later loads, and return it.

    A missing directory is created, and must be writable; `~`, `$VAR` and relative paths are
    resolved now, because tensorflow_hub would take them literally. `gs://bucket/path` is kept as given.
    `default` restores the library's own location.

    Raises:
        SettingError: the location is a file, cannot be created, or cannot be written; no setting has changed.

    Example:
        >>> set_cache("another-directory").source
        'variable'
        >>> scan_cache().models
        ()
    """
    env = os.environ if env is None else env
    if text == "default":
        if _flag("tfhub_cache_dir"):
            env[CACHE_VARIABLE] = default_cache()  # overrides the flag, which belongs to the program
        else:
            env.pop(CACHE_VARIABLE, None)
        return read_cache(env=env)
    location = read_location(text, env)
    prepare_location(location)
    env[CACHE_VARIABLE] = location
    return read_cache(env=env)


def correct_environment(env: MutableMapping[str, str] | None = None) -> None:
    """Rewrite variables that tensorflow_hub would silently misread.

    tensorflow_hub takes `uncompressed` in lower case for no mode, and makes a folder named `~` of `~/models`.
    """
    env = os.environ if env is None else env
    mode = env.get(MODE_VARIABLE, "").strip().lower()
    if mode in MODE_FORMATS and mode != "offline":
        env[MODE_VARIABLE] = MODE_FORMATS[mode]
    if env.get(CACHE_VARIABLE, "").startswith("~"):
        env[CACHE_VARIABLE] = os.path.expanduser(env[CACHE_VARIABLE])  # Path would normalise more than '~'


class EnvironmentRecord:
    """The changes written to the environment, so that they can be undone.

    A variable that other code changed afterwards stays as it is: the later change wins.
    """

    def __init__(self, env: MutableMapping[str, str] | None = None) -> None:
        self._env = os.environ if env is None else env
        self._before: dict[str, str | None] = {}
        self._written: dict[str, str | None] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record every change of `VARIABLES` made inside the `with`."""
        before = {name: self._env.get(name) for name in VARIABLES}
        try:
            yield
        finally:
            for name, old in before.items():
                if (new := self._env.get(name)) != old:
                    self._before.setdefault(name, old)
                    self._written[name] = new

    def restore(self) -> None:
        """Restore the values from before the first change."""
        for name, old in self._before.items():
            if self._env.get(name) != self._written[name]:
                continue
            if old is None:
                self._env.pop(name, None)
            else:
                self._env[name] = old
        self._before.clear()
        self._written.clear()


def _flag(name: str) -> str:
    """Return tensorflow_hub's absl flag if the program set it, else ""; never imports absl."""
    absl_flags = sys.modules.get("absl.flags")
    if absl_flags is None or name not in absl_flags.FLAGS:
        return ""
    flag = absl_flags.FLAGS[name]
    return "" if flag.value in (None, flag.default) else str(flag.value)


# Settings that hold for a thread and those it starts, over what the environment says.
_HELD: CellValue[Mapping[str, str]] = CellValue("hub_magic settings")


@contextmanager
def settings_held(values: Mapping[str, str]) -> Iterator[None]:
    """Inside the `with` these settings hold for us and tensorflow_hub, here and in threads started meanwhile.

    Other processes that are started meanwhile find them in the environment; other threads' settings are read
    as if they did not stand there.
    """
    with _LIBRARY.entered(), variables_set(values), _HELD.hold({**(_HELD.get() or {}), **values}):
        yield


def _environment() -> Mapping[str, str]:
    """The environment as this thread is to see it."""
    held = _HELD.get() or {}
    hidden = {name: _BEFORE[name] for name in (CACHE_VARIABLE, MODE_VARIABLE) if _is_anothers(name, held)}
    if not held and not hidden:
        return os.environ
    env = {**os.environ, **held}
    for name, value in hidden.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def _is_anothers(name: str, held: Mapping[str, str]) -> bool:
    """Whether a variable says what holds for another thread; not where somebody has set it since."""
    if name in held or name not in _BEFORE:
        return False
    return os.environ.get(name) in [one.values[name] for one in tuple(_WISHES) if name in one.values]


@contextmanager
def _library_asks_us() -> Iterator[None]:
    """tensorflow_hub's function that reads its settings reads first what is held, from its import on."""

    def attach() -> None:
        add_detour(getattr(sys.modules["tensorflow_hub.resolver"], "get_env_setting", None), _read_held)

    hook = ImportHook("tensorflow_hub.resolver", around=pkg_resources_stand_in, then=attach)
    hook.install()
    try:
        yield
    finally:
        hook.uninstall()
        remove_detours(_read_held)


def _read_held(own: Callable[..., Any], variable: str, flag: str) -> Any:
    return _environment().get(variable) or own("", flag)


_LIBRARY = Shared(_library_asks_us)


@dataclass(frozen=True, eq=False)
class _Wish:
    """That variables have these values, for as long as one thread needs it."""

    values: Mapping[str, str]


_WISHES: list[_Wish] = []
_BEFORE: dict[str, str | None] = {}
_CHANGING = threading.Lock()


@contextmanager
def variables_set(values: Mapping[str, str]) -> Iterator[None]:
    """These variables have these values inside the `with`, and their old ones again after it.

    For what others read from the environment. Several threads may be inside at once: the old values come back
    when the last of them leaves.
    """
    wish = _Wish(values)
    with _CHANGING:
        for name in values:
            _BEFORE.setdefault(name, os.environ.get(name))
        _WISHES.append(wish)
        os.environ.update(values)
    try:
        yield
    finally:
        with _CHANGING:
            _WISHES.remove(wish)
            for name in values:
                left = [one.values[name] for one in _WISHES if name in one.values]
                value = left[-1] if left else _BEFORE.pop(name)
                if os.environ.get(name) != values[name]:
                    continue  # somebody set it since, or another thread: theirs is the later word
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
