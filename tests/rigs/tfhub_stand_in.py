"""tfhub.dev and Kaggle on this computer, for tests: the redirects of the first, and the models of the second.

It is a proxy that answers for both hosts under its own certificate authority. Its answers are those that users
have reported; the hosts themselves are never asked.
"""

from __future__ import annotations

import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

from gcs_stand_in import ProxyHandler, Server, make_certificates
from tls import server_context

if TYPE_CHECKING:
    from typing_extensions import Self

KAGGLE = "https://www.kaggle.com/models"
# Paths on tfhub.dev, and the models that have replaced them; any other path is gone.
MOVED = {
    "/google/nnlm-en-dim50/2": f"{KAGGLE}/google/nnlm/tensorFlow2/en-dim50/1",
    "/deepmind/i3d-kinetics-400/1": f"{KAGGLE}/deepmind/i3d-kinetics/tensorFlow1/400/1",
}


class Hosts(BaseHTTPRequestHandler):
    """The answers of tfhub.dev or Kaggle, as the request's host."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.headers["Host"] == "www.kaggle.com":
            self._send(200, b"<!doctype html><title>A model</title>")
        elif path in MOVED:
            self._send(302, b"", Location=MOVED[path])
        else:
            self._send(404, b"Not found")

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


class TfhubStandIn:
    """Both hosts; used in a `with`."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        hosts = ("tfhub.dev", "www.kaggle.com")
        context = server_context(make_certificates(Path(self._folder.name), hosts))
        facts = {"context": context, "inner": Hosts, "hosts": hosts}
        self._server = Server(("127.0.0.1", 0), type("Proxy", (ProxyHandler,), facts))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._folder.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which a process takes the stand-in for the internet."""
        return {
            "https_proxy": f"http://127.0.0.1:{self._server.server_address[1]}",
            "no_proxy": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(Path(self._folder.name, "ca.pem")),
            "SSL_CERT_FILE": str(Path(self._folder.name, "ca.pem")),
        }
