"""TLS for the stand-ins for hosts."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any


class Connection(ssl.SSLSocket):
    """A connection that is closed if its client leaves during the start of TLS.

    `SSLSocket._create` asks for the client's address. If the client is gone, it raises and leaves the new socket open,
    and Python warns about that at any later time. Tests kill clients on purpose.
    """

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError:
            if not self.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):  # a listening one has no client
                self.close()
            raise


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return a server's TLS context, from the file with its certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = Connection
    context.load_cert_chain(certificate)
    return context
