"""TLS as the stand-ins for hosts serve it."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any


class Connection(ssl.SSLSocket):
    """A connection that is closed when its client goes while TLS is put on it.

    `SSLSocket._create` asks who the client is. If there is none any more, it raises and leaves the new socket open, and
    Python warns about that at any later time. Clients that are killed are what the tests are about.
    """

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError:
            # A server's listening socket has no client either, and stays open.
            if not self.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                self.close()
            raise


def server_context(certificate: Path) -> ssl.SSLContext:
    """What a server needs, given the file with its certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = Connection
    context.load_cert_chain(certificate)
    return context
