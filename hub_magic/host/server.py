"""The listening socket, a thread for each connection, and the answers to requests."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote_to_bytes

from .archives import plan_part
from .catalog import ARCHIVE_SUFFIX
from .pages import folder_page, model_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from .archives import ArchiveStore
    from .catalog import Catalog, Model


@dataclass(frozen=True)
class Request:
    """A request to the host.

    Attributes:
        method: "GET" or "HEAD".
        path: the path as the client sent it, with its query.
        range: the `Range` header, or "".
    """

    method: str
    path: str
    range: str


@dataclass(frozen=True)
class Target:
    """The model or folder that a request's URL names.

    Attributes:
        handle: the path of a model, or of a folder above models; "" is the root.
        format: the value of `tf-hub-format`; "" means a page.
    """

    handle: str
    format: str


def parse_target(url: str) -> Target:
    """Return the handle and format in a request's URL. The catalog decides whether the handle may be read."""
    path, _, query = re.sub(r"^https?://[^/?]*", "", url, flags=re.IGNORECASE).partition("?")
    handle = os.fsdecode(unquote_to_bytes(path.encode("latin-1"))).strip("/")  # http.server's encoding
    wanted = parse_qs(query).get("tf-hub-format", [""])[-1]
    if handle.endswith(ARCHIVE_SUFFIX):
        return Target(handle.removesuffix(ARCHIVE_SUFFIX), wanted or "compressed")
    return Target(handle, wanted)


class Handler(BaseHTTPRequestHandler):
    """One connection, with as many requests as the client sends."""

    protocol_version = "HTTP/1.1"
    server_version = "hub_magic"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = 600  # seconds; a client that vanished must not keep its thread forever
    server: Server

    def do_GET(self) -> None:
        """Answer a request; a HEAD gets the same headers."""
        self.server.record(Request(self.command, self.path, self.headers.get("Range", "")))
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # an unread body must not be taken for the next request
        target = parse_target(self.path)
        model = self.server.catalog.find(target.handle)
        if model is not None:
            self._send_model(model, target.format)
        elif not self._send_list(target):
            self._send_text(
                HTTPStatus.NOT_FOUND, f"There is no model at {self.path!r}. See / for all models.\n"
            )

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Write a line to stderr if the host is verbose."""
        if self.server.verbose:
            super().log_message(format, *args)

    def _send_list(self, target: Target) -> bool:
        """Send the list of models below a path; return False if there are none."""
        models = self.server.catalog.models(target.handle)
        if not models and target.handle:
            return False
        if target.format:
            some = ", ".join(repr(model.handle) for model in models[:5]) or "nothing yet"
            text = (
                f"{target.handle!r} is not a model: a handle ends with a version. Available below it: {some}."
            )
            self._send_text(HTTPStatus.NOT_FOUND, text + "\n")
        else:
            self._send_page(folder_page(target.handle, models))
        return True

    def _send_model(self, model: Model, wanted: str) -> None:
        if wanted == "compressed":
            self._send_archive(model)
        elif wanted == "":
            self._send_model_page(model)
        elif wanted != "uncompressed":
            text = f"tf-hub-format is 'compressed' or 'uncompressed', not {wanted!r}.\n"
            self._send_text(HTTPStatus.BAD_REQUEST, text)
        elif model.bucket:
            # No Location: tensorflow_hub reads the body only, and other clients cannot follow gs://.
            self._send_text(HTTPStatus.SEE_OTHER, model.bucket)
        else:
            text = f"{model.handle!r} has no gs:// folder on this host. Load it compressed.\n"
            self._send_text(HTTPStatus.NOT_FOUND, text)

    def _send_model_page(self, model: Model) -> None:
        try:
            files = self.server.catalog.files(model.folder) if model.folder else ()
            size = model.archive.stat().st_size if model.archive else None
        except OSError as error:
            self._send_failure(model, error)
            return
        self._send_page(model_page(model, files, size, self._base_url()))

    def _send_archive(self, model: Model) -> None:
        try:
            archive = self.server.store.open(model)
        except OSError as error:
            self._send_failure(model, error)
            return
        with archive.file:
            part = plan_part(
                archive.size,
                archive.etag,
                asked=self.headers.get("Range", "") if self.command == "GET" else "",
                if_range=self.headers.get("If-Range", ""),
                if_none_match=self.headers.get("If-None-Match", ""),
            )
            self.send_response(part.status)
            self.send_header("ETag", archive.etag)
            self.send_header("Accept-Ranges", "bytes")
            if part.status == HTTPStatus.PARTIAL_CONTENT:
                last = part.start + part.length - 1
                self.send_header("Content-Range", f"bytes {part.start}-{last}/{archive.size}")
            elif part.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self.send_header("Content-Range", f"bytes */{archive.size}")
            if part.status != HTTPStatus.NOT_MODIFIED:
                self.send_header("Content-Type", "application/gzip")
                self.send_header("Content-Length", str(part.length))
            self.end_headers()
            if self.command == "GET" and part.length:
                sent = self.connection.sendfile(archive.file, part.start, part.length)
                if sent < part.length:  # the file was truncated meanwhile; the client must not wait for more
                    self.close_connection = True

    def _send_failure(self, model: Model, error: OSError) -> None:
        """Send why a model cannot be served, naming at most a path below the model."""
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        if isinstance(error, BlockingIOError):
            status = HTTPStatus.SERVICE_UNAVAILABLE
        elif isinstance(error, PermissionError):
            status = HTTPStatus.FORBIDDEN
        elif isinstance(error, FileNotFoundError):
            status = HTTPStatus.NOT_FOUND
        name = str(error.filename or "")
        where = f" ({name})" if name and not os.path.isabs(name) else ""
        self._send_text(status, f"{model.handle!r} cannot be served. {error.strerror or error}{where}.\n")

    def _send_page(self, page: str) -> None:
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", page)

    def _send_text(self, status: HTTPStatus, text: str) -> None:
        self._send(status, "text/plain; charset=utf-8", text)

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode(errors="replace")  # file names may hold bytes that are not text
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _base_url(self) -> str:
        """Return the host's URL as the client knows it, also behind a proxy that adds TLS."""
        name = self.headers.get("Host", "")
        if not re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", name):
            return self.server.url
        scheme = "https" if self.headers.get("X-Forwarded-Proto") == "https" else "http"
        return f"{scheme}://{name}"


class Server(ThreadingHTTPServer):
    """The listening socket and its open connections."""

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
        """The host's URL on this computer, without a slash at the end."""
        address, port = self.server_address[:2]
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(address), str(address))  # noqa: S104
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def server_bind(self) -> None:
        """Bind the port. HTTPServer also looks up this computer's name, which takes seconds offline."""
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
        """Report a failure of ours; a client that hangs up or stops responding is not a failure."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def close(self) -> None:
        """Stop listening, close every connection and wait for its thread; `serve_forever` must be running."""
        self.shutdown()
        self.server_close()
        self.store.stop()
        with self._connections_lock:
            connections = dict(self._connections)
        for connection in connections.values():
            with contextlib.suppress(OSError):  # the connection may have ended by itself
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections:
            thread.join()
