"""A model host speaking TensorFlow Hub's hosting protocol over HTTP, for a folder of models.

    with ModelHost("models") as host:
        model = hub.load(f"{host.url}/digits/classifier/1")

The same from a shell: `python -m hub_magic.host models --port 8000`. The host needs only the standard
library, and nothing else of hub_magic. The protocol: https://www.tensorflow.org/hub/hosting
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from .archives import ArchiveStore
from .catalog import Catalog, is_model
from .pages import url_path
from .server import Request, Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["HostError", "ModelHost", "Request"]


class HostError(Exception):
    """The host cannot serve with the given folder, bucket, port or address. Its message is one line."""


class ModelHost:
    """A server for the models of a folder, over HTTP, while its `with` block runs or from `start` to `close`.

    Args:
        directory: the models, as `PUBLISHER/NAME/VERSION/` folders, or as `PUBLISHER/NAME/VERSION.tar.gz`;
            more or fewer parts are allowed.
        gcs: handle path → `gs://` folder, for the models that a bucket holds too, or only a bucket holds.
        port: the port; 0 chooses a free port.
        bind: the address to listen on. The default accepts connections from this computer only; "0.0.0.0"
            accepts them from every computer.
        cache_directory: keeps the archives of folders, so that a restart does not make them again; for one
            host at a time. Default: a temporary directory, removed at the end.
        verbose: whether to write a line to stderr for each request.

    Raises:
        HostError: the directory is missing or is itself a model, or an argument cannot be used.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        gcs: Mapping[str, str] | None = None,
        port: int = 0,
        bind: str = "127.0.0.1",
        cache_directory: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> None:
        root = Path(directory).expanduser().resolve()
        if not root.is_dir():
            raise HostError(f"There is no folder {root}. Give the folder that holds the models.")
        if is_model(root):
            raise HostError(
                f"{root} is itself a model. Give a folder that holds it as PUBLISHER/NAME/VERSION."
            )
        for handle, folder in (gcs or {}).items():
            if not folder.startswith("gs://"):
                raise HostError(
                    f"The bucket of {handle!r} is {folder!r}. Give a folder that starts with gs://."
                )
        if not 0 <= port <= 65535:
            raise HostError(f"There is no port {port}. Give one from 1 to 65535, or 0 for a free one.")
        self.directory = root
        self._catalog = Catalog(root, {handle.strip("/"): folder for handle, folder in (gcs or {}).items()})
        self._address = (bind, port)
        self._cache_directory = cache_directory
        self._verbose = verbose
        self._requests: deque[Request] = deque(maxlen=10_000)
        self._requests_lock = threading.Lock()
        self._server: Server | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """The host's URL, without a slash at the end; a handle is this URL, a slash and the model's path."""
        if self._server is None:
            raise RuntimeError("The host is not running; enter its `with` block or call start().")
        return self._server.url

    @property
    def handles(self) -> tuple[str, ...]:
        """The handles of all models that are served now, as `hub.load` takes them."""
        return tuple(self.url + url_path(model.handle) for model in self._catalog.models())

    @property
    def requests(self) -> tuple[Request, ...]:
        """The last 10,000 requests, oldest first."""
        with self._requests_lock:
            return tuple(self._requests)

    def start(self) -> None:
        """Listen, and answer in the background. A host that is running stays as it is.

        Raises:
            HostError: the port is taken, the address is not this computer's, or `cache_directory` cannot
                be used.
        """
        if self._server is not None:
            return
        store = ArchiveStore(self._catalog, self._archive_directory())
        try:
            server = Server(
                self._address, catalog=self._catalog, store=store, record=self._record, verbose=self._verbose
            )
        except OSError as error:
            self._remove_temporary()
            bind, port = self._address
            raise HostError(
                f"Cannot listen on {bind} port {port}: {error.strerror}. "
                "Give another port (0 picks a free one) or an address of this computer."
            ) from error
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        self._server = server

    def close(self) -> None:
        """Stop listening, close every connection, and remove the temporary archives."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._remove_temporary()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _archive_directory(self) -> Path:
        if self._cache_directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="hub_magic_host_")
            return Path(self._temporary.name)
        directory = Path(self._cache_directory).expanduser().resolve()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=directory).close()  # fails now instead of at a client's first request
        except OSError as error:
            raise HostError(
                f"Cannot keep archives in {directory}: {error.strerror}. Give another folder."
            ) from error
        return directory

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _record(self, request: Request) -> None:
        with self._requests_lock:
            self._requests.append(request)
