"""A proxy that knows CONNECT only, in plain text, and connects to one port of this computer whatever it is told."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading


class ConnectProxy:
    """The proxy, from `with` to `with`.

    Args:
        port: where every tunnel ends.
    """

    def __init__(self, port: int) -> None:
        self._end = ("127.0.0.1", port)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self):
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                request = self.rfile.readline()
                if not request.startswith(b"CONNECT "):  # also who begins with TLS
                    return
                while self.rfile.readline().strip():
                    pass
                with socket.create_connection(proxy._end) as end:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    with contextlib.suppress(OSError):
                        _pass_on(self.connection, end)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until one side has no more."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(1 << 16)
            if not data:
                return
            (other if ready is one else one).sendall(data)
