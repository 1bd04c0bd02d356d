"""A host of one archive that misbehaves on demand: each request meets the next fault of a list."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tls import server_context

VERSION = '"version 1"'


@dataclass(frozen=True)
class Fault:
    """The faults of one answer; by default none.

    Attributes:
        status: the status instead of 200 or 206.
        headers: further headers; an empty value removes a usual header.
        body: the body instead of the archive.
        wait: seconds of silence before anything else.
        hang_up: close the connection without an answer.
        drop_at: close the connection after this many bytes of the body.
        stall_at: stop sending after this many bytes of the body, and then close the connection.
        stall_for: seconds of that silence; until the host is closed when None.
        length: the value of `Content-Length`.
        chunked: send the body in chunks, without a length.
        ranges: whether `Range` is respected.
        rate: bytes per second.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    wait: float = 0
    hang_up: bool = False
    drop_at: int | None = None
    stall_at: int | None = None
    stall_for: float | None = None
    length: int | None = None
    chunked: bool = False
    ranges: bool = True
    rate: int | None = None


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    path: str
    range: str
    if_range: str
    client: tuple[str, int]
    credentials: tuple[str, str] = ("", "")  # of `Authorization` and `Proxy-Authorization`
    headers: dict[str, str] = field(default_factory=dict, compare=False)


class FaultyHost:
    """A server of one archive under every path, while its `with` runs.

    Args:
        archive: the bytes to serve.
        faults: the faults of the first requests, in this order.
        then: the fault of every later request.
        ranges: whether the host announces ranges.
        certificate: a file with a certificate and its key, for https.
    """

    def __init__(
        self,
        archive: bytes,
        faults: Iterable[Fault] = (),
        *,
        then: Fault | None = None,
        ranges: bool = True,
        certificate: str = "",
    ) -> None:
        self.archive = archive
        self.faults = list(faults)
        self.then = then or Fault()
        self.ranges = ranges
        self._certificate = certificate
        self.seen: list[Seen] = []
        self.closing = threading.Event()
        self.started = threading.Event()  # set by the first request
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def ranges_asked(self) -> list[str]:
        return [request.range for request in self.seen]

    def next_fault(self, seen: Seen) -> Fault:
        with self._lock:
            self.seen.append(seen)
            self.started.set()
            return self.faults.pop(0) if self.faults else self.then

    def __enter__(self):
        host = self

        class Handler(_Handler):
            pass

        Handler.host = host
        self._server = _Server(("127.0.0.1", 0), Handler)
        if self._certificate:
            self._server.socket = server_context(self._certificate).wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that hangs up: tests do that."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host: FaultyHost

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        credentials = (self.headers.get("Authorization", ""), self.headers.get("Proxy-Authorization", ""))
        fault = self.host.next_fault(
            Seen(
                self.requestline.split(" ")[1],  # `self.path` has lost slashes
                asked,
                self.headers.get("If-Range", ""),
                self.client_address,
                credentials,
                dict(self.headers),
            )
        )
        if fault.wait:
            self.host.closing.wait(fault.wait)
        if fault.hang_up:
            self.close_connection = True
            return
        body = self.host.archive if fault.body is None else fault.body
        headers = {"ETag": VERSION, "Last-Modified": formatdate(0, usegmt=True)}
        if self.host.ranges:
            headers["Accept-Ranges"] = "bytes"
        headers |= fault.headers
        status = fault.status or 200
        if_range = self.headers.get("If-Range", headers["ETag"])
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        if (
            found
            and status == 200
            and fault.ranges
            and if_range in {headers["ETag"], headers["Last-Modified"]}
        ):
            start = int(found[1])
            end = min(int(found[2]) + 1, len(body)) if found[2] else len(body)
            if start >= len(body):
                status, body = 416, b""
            else:
                status = 206
                headers.setdefault("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
                body = body[start:end]
        self.send_response(status)
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(body) if fault.length is None else fault.length)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self._send(body, fault)

    def _send(self, body: bytes, fault: Fault) -> None:
        stop = min(at for at in (fault.drop_at, fault.stall_at, len(body)) if at is not None)
        step = 1 << 16 if fault.rate is None else max(1, min(1 << 16, fault.rate // 20))
        for start in range(0, stop, step):
            part = body[start : min(start + step, stop)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if fault.chunked else part)
            if fault.rate:
                time.sleep(len(part) / fault.rate)
        if fault.stall_at is not None:
            self.host.closing.wait(fault.stall_for)
        elif fault.chunked and fault.drop_at is None:
            self.wfile.write(b"0\r\n\r\n")
        if stop < len(body) or fault.length is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""
