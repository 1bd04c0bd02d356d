"""HTTP for the stand-in for Google Cloud Storage: requests, answers, and their tunnel."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from gcs_stand_in import GcsStandIn

_CONDITION = re.compile(r"if(Source)?(Metag|G)eneration(Not)?Match")


@dataclass
class Answer:
    """A status, headers and a body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, data: object, status: int = 200, **headers: str) -> Answer:
        return cls(
            status, json.dumps(data).encode(), {"Content-Type": "application/json; charset=UTF-8", **headers}
        )


@dataclass
class Request:
    """One request, alone or as a part of a batch."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    asked: tuple[str, ...] = ()

    @classmethod
    def parse(cls, method: str, target: str, headers: dict[str, str], body: bytes) -> Request:
        url = urlsplit(target)
        values = parse_qs(url.query, keep_blank_values=True)
        query = {key: found[-1] for key, found in values.items()}
        lowered = {key.lower(): value for key, value in headers.items()}
        return cls(method, url.path, query, lowered, body, tuple(values.get("permissions", ())))

    def conditions(self, *, source: bool = False) -> dict[str, int]:
        return {
            key.replace("Source", ""): int(value)
            for key, value in self.query.items()
            if (found := _CONDITION.fullmatch(key)) and bool(found[1]) == source
        }

    def json(self) -> dict[str, object]:
        found = json.loads(self.body or b"{}")
        assert isinstance(found, dict)
        return found

    @property
    def object_name(self) -> str:
        """Return the name of the object of an upload: in the query, or among the facts in the body."""
        found = re.search(rb'"name":\s*("[^"]*")', self.body[:4096]) if "uploadType" in self.query else None
        return self.query.get("name") or (str(json.loads(found[1])) if found else "")

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer").strip()


def refusal(status: int, message: str, **headers: str) -> Answer:
    error = {"code": status, "message": message, "errors": [{"message": message, "reason": "refused"}]}
    return Answer.of({"error": error}, status, **headers)


def chosen(found: dict[str, object], fields: str) -> dict[str, object]:
    """Return the part of an answer that the query's `fields` requests: `a,b(c,d),e/f`."""
    if not fields or fields == "*":
        return found
    wanted = _parse_fields(fields)
    return {key: _pick(value, wanted[key]) for key, value in found.items() if key in wanted}


def _parse_fields(text: str) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for part in re.findall(r"(?:[^,()]|\([^)]*\))+", text):
        name, _, inner = part.strip().rstrip(")").replace("/", "(", 1).partition("(")
        wanted[name] = f"{wanted[name]},{inner}" if wanted.get(name) else inner
    return wanted


def _pick(value: object, fields: str) -> object:
    if isinstance(value, list):
        return [_pick(one, fields) for one in value]
    return chosen(value, fields) if isinstance(value, dict) else value


class Handler(BaseHTTPRequestHandler):
    """The HTTP server inside the tunnel."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body are sent together
    stand_in: GcsStandIn

    def do_GET(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            return
        request = Request.parse(self.command, self.path, dict(self.headers.items()), body)
        found = self.stand_in.answer(request)
        self.send_response(found.status)
        for key, value in found.headers.items():
            self.send_header(key, value)
        if found.status != 204:
            self.send_header("Content-Length", str(len(found.body)))
        self.end_headers()
        if self.command != "HEAD" and found.status != 204:
            self.wfile.write(found.body)
        self.wfile.flush()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def handle_expect_100(self) -> bool:
        """Answer TensorFlow, which asks before it sends a body, and waits for a second."""
        went_on = super().handle_expect_100()
        self.wfile.flush()
        return went_on

    def _body(self) -> bytes | None:
        """Return the body; None if the client broke off."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            return body if len(body) == size else None
        body = b""
        while True:
            line = self.rfile.readline()
            if not line:
                return None
            size = int(line.split(b";")[0], 16)
            piece = self.rfile.read(size)
            self.rfile.readline()
            if not size:
                return body
            if len(piece) != size:
                return None
            body += piece

    def log_message(self, *_arguments: object) -> None:
        pass
