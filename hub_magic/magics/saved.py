"""Settings saved in the IPython profile, with traitlets' own manager of JSON files.

They stand in `ipython_config.json`, which IPython reads at every start, so that `%config HubMagics` shows
them and `ipython --HubMagics.mode=offline` beats them.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from traitlets.config.manager import BaseJSONConfigManager

from ..errors import SettingError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_FILE = "ipython_config"
_SECTION = "HubMagics"
_EXTENSION = "hub_magic"


class SavedSettings:
    """The part of a profile's configuration that is ours.

    Args:
        shell: the shell whose profile it is.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    @property
    def path(self) -> Path:
        """The file they stand in."""
        return Path(self._shell.profile_dir.location) / f"{_FILE}.json"

    def value(self, name: str) -> str:
        """What is kept under this name, or "".

        Raises:
            SettingError: the profile's file cannot be read.
        """
        return str(self._read().get(_SECTION, {}).get(name, ""))

    def save(self, name: str, value: str, *, autoload: bool = False) -> None:
        """Keep a setting for the sessions to come.

        Raises:
            SettingError: the profile's file cannot be read or written.
        """
        config = self._read()
        config.setdefault(_SECTION, {})[name] = value
        if autoload:
            extensions = config.setdefault("InteractiveShellApp", {}).setdefault("extensions", [])
            if _EXTENSION not in extensions:
                extensions.append(_EXTENSION)
        self._write(config)
        self._shell.config[_SECTION][name] = value

    def forget(self, name: str) -> None:
        """Keep a setting no longer, and do not load the extension by itself any more when none is left.

        Raises:
            SettingError: the profile's file cannot be read or written.
        """
        config = self._read()
        ours = config.get(_SECTION, {})
        ours.pop(name, None)
        if not ours:
            config.pop(_SECTION, None)
            app = config.get("InteractiveShellApp", {})
            if _EXTENSION in app.get("extensions", ()):
                app["extensions"].remove(_EXTENSION)
        self._write(config)
        self._shell.config[_SECTION].pop(name, None)

    def _read(self) -> dict[str, Any]:
        try:
            config = BaseJSONConfigManager(config_dir=str(self.path.parent)).get(_FILE)
        except (OSError, ValueError) as error:
            raise SettingError(f"{self.path} cannot be read: {error}. Mend or remove that file.") from error
        if not isinstance(config, dict):
            raise SettingError(f"{self.path} holds no JSON object. Mend or remove that file.")
        return config

    def _write(self, config: dict[str, Any]) -> None:
        # The manager writes in place; a full disk must not cost the user's other settings.
        try:
            with TemporaryDirectory(dir=self.path.parent) as scratch:
                BaseJSONConfigManager(config_dir=scratch).set(_FILE, config)
                (Path(scratch) / self.path.name).replace(self.path)
        except OSError as error:
            raise SettingError(f"{self.path} cannot be written: {error.strerror}.") from error
