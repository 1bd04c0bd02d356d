"""The listening socket, and a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING

from .handler import Handler

if TYPE_CHECKING:
    from collections.abc import Callable

    from .archives import ArchiveStore
    from .catalog import Catalog
    from .handler import Request


class Server(ThreadingHTTPServer):
    """The listening socket, and the connections that can be ended with it."""

    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        *,
        catalog: Catalog,
        store: ArchiveStore,
        record: Callable[[Request], None],
        verbose: bool,
    ) -> None:
        self.catalog = catalog
        self.store = store
        self.record = record
        self.verbose = verbose
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._connections_lock = threading.Lock()
        bind, port = address
        found = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        super().__init__((str(found[0][4][0]), port), Handler)

    @property
    def url(self) -> str:
        """Where this machine reaches the host, without a slash at the end."""
        address, port = self.server_address[:2]
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(address), str(address))  # noqa: S104
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def server_bind(self) -> None:
        """Take the port. HTTPServer asks for this machine's name too, which takes seconds offline."""
        TCPServer.server_bind(self)

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        """Start a thread for a connection, and note both for `close`."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._connections_lock:
            thread.start()
            self._connections[thread] = request

    def process_request_thread(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        """Serve a connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._connections_lock:
                del self._connections[threading.current_thread()]

    def handle_error(self, request: object, client_address: object) -> None:
        """Report a failure of ours; a client that hangs up or falls silent is none."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def close(self) -> None:
        """Stop listening, end every connection and wait for its thread; `serve_forever` must be running."""
        self.shutdown()
        self.server_close()
        self.store.stop()
        with self._connections_lock:
            connections = dict(self._connections)
        for connection in connections.values():
            with contextlib.suppress(OSError):  # it has just ended by itself
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections:
            thread.join()
