"""TLS for the stand-ins for hosts."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest


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


def make_certificate(folder: Path) -> str:
    """Return the path of a file with a certificate for 127.0.0.1 that nobody has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    path = folder / "host.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    made = subprocess.run(
        [*command.split(), "-keyout", "-", "-out", "-"], check=True, capture_output=True, text=True
    ).stdout
    path.write_text(made)
    return str(path)


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return a server's TLS context, from the file with its certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = Connection
    context.load_cert_chain(certificate)
    return context
