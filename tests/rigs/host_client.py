"""Models to serve without TensorFlow, and a client that sends requests exactly as written."""

from __future__ import annotations

import http.client
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

FILES = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 40,
    "assets/vocabulary.txt": b"hub\nmagic\n",
}


@dataclass(frozen=True)
class Answer:
    """A response; the headers' names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def members(self) -> dict[str, bytes]:
        """Return the content of the archive's files by name."""
        with tarfile.open(fileobj=io.BytesIO(self.body), mode="r:gz") as tar:
            return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}


def write_model(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    """Write a folder that looks like a SavedModel."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def connect(url: str) -> http.client.HTTPConnection:
    """Return a connection to the host at this URL."""
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)


def ask(url: str, path: str, method: str = "GET", **headers: str) -> Answer:
    """Send one request, `path` unchanged; `If_Range=` is the header If-Range."""
    connection = connect(url)
    try:
        return ask_on(connection, path, method, **headers)
    finally:
        connection.close()


def ask_on(connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str) -> Answer:
    """Send one request on a connection that stays open."""
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    response = connection.getresponse()
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, found, response.read())
