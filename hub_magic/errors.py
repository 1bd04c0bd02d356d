"""Errors that a user's input, disk or network can cause.

    HubMagicError
    ├── SettingError        a mode, location or option that cannot be used
    ├── HandleError         a handle that is empty or not well-formed
    ├── NotCachedError      a handle that is not cached
    ├── DownloadError       a host, network or archive that does not deliver the model
    ├── DamagedEntryError   a cached copy that cannot be intact
    └── RouteError          a route to a worker that cannot work for this model

Each message is one line: what happened, with the value, and what to do next. An error that is not derived
from `HubMagicError` is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

from .masking import mask_secrets


class HubMagicError(Exception):
    """A failure that the user can fix; IPython shows it as one line.

    Example:
        >>> try:
        ...     path = resolve("https://host.example/team/other/1")
        ... except HubMagicError as error:
        ...     print(type(error).__name__)
        NotCachedError
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(mask_secrets(one) if isinstance(one, str) else one for one in args))

    def _render_traceback_(self) -> list[str]:
        # IPython asks the exception itself for its traceback (`InteractiveShell.showtraceback`, 7.34 to
        # 9.x). An answer here keeps the class for `except`, the cell's status "error", and one line.
        return [f"{type(self).__name__}: {self}"]


class SettingError(HubMagicError):
    """A mode, location or option that cannot be used.

    Example:
        >>> set_cache("ftp://host/models")
        Traceback (most recent call last):
            ...
        hub_magic.errors.SettingError: ...
    """


class HandleError(HubMagicError):
    """A handle that is empty or not well-formed.

    Example:
        >>> parse_handle("https://")
        Traceback (most recent call last):
            ...
        hub_magic.errors.HandleError: ...
    """


class NotCachedError(HubMagicError):
    """A handle that is not cached.

    Example:
        >>> plan_removal(["nothing"])
        Traceback (most recent call last):
            ...
        hub_magic.errors.NotCachedError: ...
    """


class DownloadError(HubMagicError):
    """A host, network or archive that does not deliver the model.

    Example:
        >>> try:
        ...     path = resolve("https://host.example/team/other/1")
        ... except (DownloadError, NotCachedError) as error:
        ...     path = None
    """


class DamagedEntryError(HubMagicError):
    """A cached copy that cannot be intact.

    Example:
        >>> open(scan_cache().models[0].path + "/saved_model.pb", "w").close()
        >>> export("team/model", "model.tar.gz")
        Traceback (most recent call last):
            ...
        hub_magic.errors.DamagedEntryError: ...
    """


class RouteError(HubMagicError):
    """A route to a worker that cannot work for this model.

    Example:
        >>> issubclass(RouteError, HubMagicError)
        True
    """


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, without the full stop; its class where there is no text.

    TensorFlow adds where an operation ran ("[Op:ReadFile]") and further lines, which say nothing to a user.
    """
    text = str(getattr(error, "message", None) or error)
    lines = (line.partition(" [Op:")[0].strip().rstrip(". ") for line in text.splitlines())
    return next(filter(None, lines), type(error).__name__)
