"""Answers of a host that are malformed: each ends in one line, and in no traceback."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from archives import model_archive

from hub_magic import DownloadError, fetch
from hub_magic.download.http import RetryPolicy

ARCHIVE = model_archive()
DIGITS = "9" * 5000
RETRIES = RetryPolicy(connect=2, read=2, tries=2, pause=0, longest=0.01)


@contextmanager
def host(*answers: bytes) -> Iterator[str]:
    """Serve these raw answers in turn, the last one again and again; yields the address."""
    left = list(answers)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(left.pop(0) if len(left) > 1 else left[0])

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no error."""

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def answer(*headers: str, status: str = "200 OK", body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode("latin-1") + body


LOCATIONS = (
    "http://[bad",
    "http://[::1",
    "http://[v1.x]/",
    "//[",
    "http://host:port/",
    "http://host:99999999/",
    "http://\xad/",
    "http://a..b/",
    "http://" + "a" * 300 + "/",
    "http://.example/",
    "http://%zz%/",
    "http://",
    "http:///path",
    "ftp://host/x",
    "data:,x",
    "javascript:alert(1)",
    "\x00",
    "http://\x80\xff/",
    "http://user:pass@[",
    "?" * 10,
)


@pytest.mark.parametrize("location", LOCATIONS)
def test_redirect_to_a_malformed_address_is_a_download_error(location: str, tmp_path: Path) -> None:
    found = answer(f"Location: {location}", "Content-Length: 0", status="302 Found")
    with host(found) as url, pytest.raises(DownloadError) as caught:
        fetch(f"{url}/a/b/1", location=str(tmp_path), retries=RETRIES, show_progress=False)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


HARMLESS = (
    f"Content-Length: {DIGITS}",
    "Content-Length: -5",
    "Content-Length: 1e3",
    "Content-Length: \xb2",
    f"ETag: {'x' * 60_000}",
    "ETag: \x01\x02",
    'ETag: W/"',
    "Retry-After: soon",
    "Last-Modified: yesterday",
    f"Content-MD5: {DIGITS}",
    "x-goog-hash: md5=====,crc32c=!!",
    f"Accept-Ranges: {DIGITS}",
)


@pytest.mark.parametrize("header", HARMLESS)
def test_malformed_header_of_a_good_answer_ends_in_the_model_or_one_line(header: str, tmp_path: Path) -> None:
    said = ""
    with host(answer(header, body=ARCHIVE)) as url:
        try:
            fetch(f"{url}/a/b/1", location=str(tmp_path), retries=RETRIES, show_progress=False)
        except DownloadError as error:
            said = str(error)
    models = [path for path in tmp_path.glob("*/saved_model.pb") if path.is_file()]
    assert len(models) == (0 if said else 1)
    assert "\n" not in said


@pytest.mark.parametrize(
    "value",
    [DIGITS, "\xb2", "-1", "Mon, 99 Foo 99999 99:99:99 +9999", "Fri, 31 Dec 9999 23:59:59 -2359", "="],
)
def test_malformed_pause_of_a_busy_host_is_one_line(value: str, tmp_path: Path) -> None:
    date = "Date: Mon, 01 Jan 0001 00:00:00 +2359"
    busy = answer(f"Retry-After: {value}", date, "Content-Length: 0", status="503 Busy")
    with host(busy) as url, pytest.raises(DownloadError, match="server error"):
        fetch(f"{url}/a/b/1", location=str(tmp_path), retries=RETRIES, show_progress=False)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 99999 X\r\n\r\n",
        b"HTTP/1.1 -1 X\r\n\r\n",
        b"HTTP/1.1 " + b"9" * 5000 + b" X\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x00\xff" * 4000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_malformed_answer_is_a_download_error(raw: bytes, tmp_path: Path) -> None:
    with host(raw) as url, pytest.raises(DownloadError) as caught:
        fetch(f"{url}/a/b/1", location=str(tmp_path), retries=RETRIES, show_progress=False)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
