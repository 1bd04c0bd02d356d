"""Settings saved in the IPython profile, with traitlets' own manager of JSON files.

The file is `ipython_config.json`, which IPython reads at every start. So `%config HubMagics` shows the
settings, and `ipython --HubMagics.mode=offline` overrides them.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from traitlets.config.manager import BaseJSONConfigManager

from ..commands.slips import usage_error
from ..errors import SettingError

if TYPE_CHECKING:
    from IPython.core.magic import Magics

    from ..commands.line import CacheLine, ModeLine

_FILE = "ipython_config"
_SECTION = "HubMagics"
_LARGEST = 1 << 20  # bytes of the file
_LONGEST_VALUE = 4096
# The file loads the extension at every start. A list of extensions in the JSON file would not do: IPython
# would use it in place of the list in `ipython_config.py`, and the user's own extensions would be lost.
_STARTUP = Path("startup", "50-hub_magic.py")
_STARTUP_CODE = """\
# Written by `--persist --autoload` of hub_magic; `--forget` removes it.
get_ipython().run_line_magic("load_ext", "hub_magic")
"""


def check_keeping(line: CacheLine | ModeLine) -> None:
    """Reject contradictory --persist/--forget/--autoload.

    Raises:
        SettingError: both --persist and --forget are given, or --autoload without --persist.
    """
    magic = "hub_mode" if hasattr(line, "legacy_keras") else "hub_cache"
    if line.forget and line.persist:
        raise usage_error("--persist and --forget cannot be combined. Run them one after the other.", magic)
    if line.autoload and not line.persist:
        raise usage_error("--autoload only works with --persist. Add --persist.", magic)


class SavedSettings:
    """Our part of a profile's configuration.

    Args:
        magics: the magics that the settings belong to.
    """

    def __init__(self, magics: Magics) -> None:
        self._magics = magics
        self._shell = magics.shell

    @property
    def path(self) -> Path:
        """The file of the settings."""
        return Path(self._shell.profile_dir.location) / f"{_FILE}.json"

    def value(self, name: str) -> str:
        """Return the value saved under this name, or "".

        Raises:
            SettingError: the profile's file cannot be read.
        """
        return str(self._read().get(_SECTION, {}).get(name, ""))[:_LONGEST_VALUE]

    def save(self, name: str, value: str, *, autoload: bool = False) -> None:
        """Save a setting for later sessions.

        Raises:
            SettingError: the profile's file cannot be read or written.
        """
        config = self._read()
        config.setdefault(_SECTION, {})[name] = value
        self._write(config)
        self._shell.config[_SECTION][name] = value
        setattr(self._magics, name, value)
        if autoload:
            self._write_startup()

    def forget(self, name: str) -> None:
        """Remove a saved setting, and with the last one the file that loads the extension.

        Raises:
            SettingError: the profile's file cannot be read or written.
        """
        config = self._read()
        ours = config.get(_SECTION, {})
        ours.pop(name, None)
        if not ours:
            config.pop(_SECTION, None)
        self._write(config)
        self._shell.config[_SECTION].pop(name, None)
        setattr(self._magics, name, "")
        if not ours:
            self._remove_startup()

    def _write_startup(self) -> None:
        path = self.path.parent / _STARTUP
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_text(_STARTUP_CODE, encoding="utf-8")
        except OSError as error:
            raise SettingError(f"{path} cannot be written: {error.strerror}.") from error

    def _remove_startup(self) -> None:
        """Remove the file that loads the extension, unless the user has changed it."""
        path = self.path.parent / _STARTUP
        try:
            if path.is_file() and path.read_text(encoding="utf-8", errors="replace") == _STARTUP_CODE:
                path.unlink()
        except OSError as error:
            raise SettingError(f"{path} cannot be removed: {error.strerror}.") from error

    def _read(self) -> dict[str, Any]:
        from ..small_files import OddFileError, parse_json, read_small_file  # where a setting is saved

        try:
            # The file may be a link, as in a folder of settings that is kept elsewhere.
            config = parse_json(read_small_file(self.path.resolve(), _LARGEST).decode())
        except FileNotFoundError:
            return {}
        except (OddFileError, OSError, RuntimeError, ValueError) as error:
            raise SettingError(f"{self.path} cannot be read: {error}. Fix or remove that file.") from error
        if not isinstance(config, dict) or not isinstance(config.get(_SECTION, {}), dict):
            raise SettingError(f"{self.path} contains no JSON object. Fix or remove that file.")
        return config

    def _write(self, config: dict[str, Any]) -> None:
        # The manager writes in place; a full disk must not lose the user's other settings.
        try:
            with TemporaryDirectory(dir=self.path.parent) as scratch:
                BaseJSONConfigManager(config_dir=scratch).set(_FILE, config)
                (Path(scratch) / self.path.name).replace(self.path)
        except OSError as error:
            raise SettingError(f"{self.path} cannot be written: {error.strerror}.") from error
