"""A model host that stops in the middle of an archive until it is told to continue."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


def archive_of(files: dict[str, bytes]) -> bytes:
    """Return the archive that a host sends for a model with these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(content)
            archive.addfile(facts, io.BytesIO(content))
    return packed.getvalue()


class HaltingHost:
    """A host of one model at any path, which sends it in two halves.

    Args:
        files: the model's files; 4 MB that cannot be compressed are added to them.
        halts: whether it waits in the middle.
    """

    def __init__(self, files: dict[str, bytes], *, halts: bool = True) -> None:
        self.archive = archive_of({**files, "assets/noise": os.urandom(4_000_000)})
        self.is_halfway = threading.Event()
        self.go_on = threading.Event()
        self.requests: list[str] = []
        if not halts:
            self.go_on.set()
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.requests.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-tar")
                self.send_header("Content-Length", str(len(host.archive)))
                self.end_headers()
                middle = len(host.archive) // 2
                try:
                    self.wfile.write(host.archive[:middle])
                    host.is_halfway.set()
                    host.go_on.wait()
                    self.wfile.write(host.archive[middle:])
                except ConnectionError:  # the client no longer wants the rest
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
