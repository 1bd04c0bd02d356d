"""The answers of the stand-in for Google Cloud Storage to TensorFlow, google-cloud-storage and google-auth."""

from __future__ import annotations

import email
import json
import re
import uuid
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import HTTP
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gcs_http import Answer, Request, chosen, refusal
from gcs_objects import PAGE, RefusedError, Stored

if TYPE_CHECKING:
    from gcs_stand_in import GcsStandIn

_B, _O = r"/storage/v1/b/(?P<bucket>[^/]+)", r"/o/(?P<name>[^/]+)"
# Method, path, and kind of each request; tests count and deny requests by these kinds.
_ROUTES = tuple(
    (method, re.compile(path), kind)
    for method, path, kind in (
        ("POST", r"/batch/storage/v1", "batch"),
        ("POST", r"/(?:token|oauth2/v\d/token)", "token"),
        ("GET", r"/tokeninfo", "tokeninfo"),
        ("GET", r"/v1/projects/-/serviceAccounts/[^/]+/allowedLocations", "locations"),
        ("GET", _B, "bucket"),
        ("GET", _B + r"/storageLayout", "layout"),
        ("GET", _B + r"/iam/testPermissions", "permissions"),
        ("GET", _B + r"/o", "list"),
        ("GET", r"(?:/download)?" + _B + _O, "get"),
        ("PATCH", _B + _O, "patch"),
        ("DELETE", _B + _O, "delete"),
        ("POST", _B + _O + r"/compose", "compose"),
        ("POST", _B + _O + r"/(?:rewriteTo|copyTo)/b/(?P<to_bucket>[^/]+)/o/(?P<to_name>[^/]+)", "rewrite"),
        ("POST", r"(?:/upload|/resumable/upload)" + _B + r"/o", "create"),
        ("PUT", r"(?:/upload|/resumable/upload)" + _B + r"/o", "create"),
        ("GET", r"/(?P<bucket>[a-z0-9][a-z0-9._-]+)/(?P<name>.+)", "read"),
    )
)
_PERMISSIONS = {
    "list": "storage.objects.list",
    "get": "storage.objects.get",
    "read": "storage.objects.get",
    "create": "storage.objects.create",
    "rewrite": "storage.objects.create",
    "compose": "storage.objects.create",
    "patch": "storage.objects.update",
    "delete": "storage.objects.delete",
    "bucket": "storage.buckets.get",
}


def kind_of(request: Request) -> str:
    """Return the kind of request; "unknown" if the stand-in does not know it."""
    try:
        return route(request)[0]
    except RefusedError:
        return f"unknown: {request.method} {request.path}"


def route(request: Request) -> tuple[str, dict[str, str]]:
    """Return the kind of the request, and the parts of its path."""
    for method, path, kind in _ROUTES:
        if method == request.method and (found := path.fullmatch(request.path)):
            return kind, {key: unquote(value) for key, value in found.groupdict().items() if value}
    raise RefusedError(404, f"The stand-in knows no {request.method} {request.path}")


def answer(stand_in: GcsStandIn, request: Request) -> Answer:
    """Return the answer to a request, with errors in the form of the JSON API."""
    try:
        kind, parts = route(request)
        fault = stand_in.meet(kind, parts, request)
        if fault is not None:
            return fault
        _authorize(stand_in, kind, parts, request)
        found: Answer = _ANSWERS[kind](stand_in, request, parts)
    except RefusedError as error:
        return refusal(error.status, error.message)
    return found


def _authorize(stand_in: GcsStandIn, kind: str, parts: dict[str, str], request: Request) -> None:
    if kind in {"batch", "token", "tokeninfo", "locations", "layout", "permissions"}:
        return
    account = stand_in.tokens.get(request.token, "")
    bucket = stand_in.objects.buckets.get(parts.get("bucket", ""))
    if request.method == "PUT" and "upload_id" in request.query:
        return  # the session was authorized
    if not account and not (bucket and bucket.public and kind in {"list", "get", "read"}):
        raise RefusedError(401, f"Anonymous caller does not have {_PERMISSIONS[kind]} access.")
    status = stand_in.denied(kind, account)
    if status:
        raise RefusedError(status, f"{account} does not have {_PERMISSIONS[kind]} access to the resource.")


def _batch(stand_in: GcsStandIn, request: Request, _parts: dict[str, str]) -> Answer:
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    boundary = uuid.uuid4().hex
    parts = [
        _part(part, request)
        for part in email.message_from_bytes(head + request.body, policy=HTTP).iter_parts()
    ]
    # The real storage carries them out in any order.
    order = sorted(
        range(len(parts)), key=lambda at: bool(stand_in.last) and stand_in.last in unquote(parts[at][1].path)
    )
    answers = {at: answer(stand_in, parts[at][1]) for at in order}
    lines = []
    for at, (number, _) in enumerate(parts):
        found = answers[at]
        head_lines = "".join(f"{key}: {value}\r\n" for key, value in found.headers.items())
        lines.append(
            f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\n"
            f"HTTP/1.1 {found.status} X\r\n{head_lines}Content-Length: {len(found.body)}\r\n\r\n".encode()
            + found.body
            + b"\r\n"
        )
    lines.append(f"--{boundary}--\r\n".encode())
    return Answer(200, b"".join(lines), {"Content-Type": f"multipart/mixed; boundary={boundary}"})


def _part(part: EmailMessage, request: Request) -> tuple[str, Request]:
    """Return the number of a batch's part, and its request."""
    text = part.get_payload(decode=True)
    assert isinstance(text, bytes)
    line, _, rest = text.lstrip().partition(b"\r\n" if b"\r\n" in text else b"\n")
    message = email.message_from_bytes(rest, policy=HTTP)
    method, target, *_ = line.decode().split(" ")
    body = message.get_payload(decode=True) or b""
    assert isinstance(body, bytes)
    headers = {**request.headers, **dict(message.items())}
    number = str(part.get("Content-ID", "")).strip("<>")
    return number, Request.parse(method, target, headers, body.strip())


def _token(stand_in: GcsStandIn, request: Request, _parts: dict[str, str]) -> Answer:
    return Answer.of({"access_token": stand_in.token, "expires_in": 3600, "token_type": "Bearer"})


def _tokeninfo(stand_in: GcsStandIn, request: Request, _parts: dict[str, str]) -> Answer:
    account = stand_in.tokens.get(request.query.get("access_token", ""), "")
    return Answer.of({"email": account}) if account else refusal(400, "Invalid Value")


def _locations(_stand_in: GcsStandIn, _request: Request, _parts: dict[str, str]) -> Answer:
    return Answer.of({"locations": [], "encodedLocations": "0x0"})


def _bucket(stand_in: GcsStandIn, _request: Request, parts: dict[str, str]) -> Answer:
    name = stand_in.objects.bucket(parts["bucket"]).name
    return Answer.of({"kind": "storage#bucket", "id": name, "name": name, "location": "US-CENTRAL1"})


def _layout(stand_in: GcsStandIn, _request: Request, parts: dict[str, str]) -> Answer:
    name = stand_in.objects.bucket(parts["bucket"]).name
    found = {"kind": "storage#storageLayout", "bucket": name, "location": "US-CENTRAL1"}
    return Answer.of({**found, "locationType": "region", "hierarchicalNamespace": {"enabled": False}})


def _permissions(stand_in: GcsStandIn, request: Request, parts: dict[str, str]) -> Answer:
    bucket = stand_in.objects.bucket(parts["bucket"])
    account = stand_in.tokens.get(request.token, "")
    if not account and not bucket.public:
        raise RefusedError(401, "Anonymous caller does not have storage.buckets.get access.")
    denied = {
        permission
        for kind, permission in _PERMISSIONS.items()
        if stand_in.denied(kind, account) or (not account and kind not in {"list", "get", "read"})
    }
    found: dict[str, object] = {"kind": "storage#testIamPermissionsResponse"}
    granted = [permission for permission in request.asked if permission not in denied]
    return Answer.of({**found, "permissions": granted} if granted else found)


def _list(stand_in: GcsStandIn, request: Request, parts: dict[str, str]) -> Answer:
    query = request.query
    items, prefixes, token = stand_in.objects.page(
        parts["bucket"],
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        token=query.get("pageToken", ""),
        most=min(int(query.get("maxResults") or PAGE), PAGE),
    )
    found: dict[str, object] = {"kind": "storage#objects"}
    if items:
        found["items"] = [item.resource() for item in items]
    if prefixes:
        found["prefixes"] = prefixes
    if token:
        found["nextPageToken"] = token
    return Answer.of(chosen(found, query.get("fields", "")))


def _get(stand_in: GcsStandIn, request: Request, parts: dict[str, str]) -> Answer:
    found = stand_in.objects.get(parts["bucket"], parts["name"], request.conditions())
    if request.query.get("alt") == "media":
        return _content(stand_in, found, request)
    return Answer.of(chosen(found.resource(), request.query.get("fields", "")))


def _read(stand_in: GcsStandIn, request: Request, parts: dict[str, str]) -> Answer:
    return _content(stand_in, stand_in.objects.get(parts["bucket"], parts["name"]), request)


def _content(stand_in: GcsStandIn, found: Stored, request: Request) -> Answer:
    facts = found.resource()
    headers = {
        "Content-Type": found.content_type,
        "X-Goog-Hash": f"crc32c={facts['crc32c']},md5={facts['md5Hash']}",
        "X-Goog-Generation": str(found.generation),
        "X-Goog-Metageneration": str(found.metageneration),
        "X-Goog-Stored-Content-Length": str(len(found.data)),
    }
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if asked is None:
        return Answer(200, found.data, headers)
    stand_in.ranges.append(asked[1])
    first, last = int(asked[1]), int(asked[2] or len(found.data) - 1)
    if first >= len(found.data):
        return Answer(416, b"", {"Content-Range": f"bytes */{len(found.data)}"})
    piece = found.data[first : last + 1]
    headers["Content-Range"] = f"bytes {first}-{first + len(piece) - 1}/{len(found.data)}"
    return Answer(206, piece, headers)


def _patch(stand_in: GcsStandIn, request: Request, parts: dict[str, str]) -> Answer:
    found = stand_in.objects.patch(parts["bucket"], parts["name"], request.json(), request.conditions())
    return Answer.of(found.resource())


def _delete(stand_in: GcsStandIn, request: Request, parts: dict[str, str]) -> Answer:
    stand_in.objects.delete(parts["bucket"], parts["name"], request.conditions())
    return Answer(204)


def _rewrite(stand_in: GcsStandIn, request: Request, parts: dict[str, str]) -> Answer:
    source = stand_in.objects.get(parts["bucket"], parts["name"], request.conditions(source=True))
    stand_in.objects.bucket(parts["to_bucket"])
    found = stand_in.objects.copy(
        source, parts["to_bucket"], parts["to_name"], request.conditions(), request.json()
    )
    size = str(len(found.data))
    done = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
    return Answer.of(chosen({**done, "resource": found.resource()}, request.query.get("fields", "")))


def _compose(stand_in: GcsStandIn, request: Request, parts: dict[str, str]) -> Answer:
    sources = request.json()["sourceObjects"]
    assert isinstance(sources, list)
    data = b"".join(stand_in.objects.get(parts["bucket"], one["name"]).data for one in sources)
    found = stand_in.objects.put(parts["bucket"], parts["name"], data, conditions=request.conditions())
    return Answer.of(found.resource())


def _create(stand_in: GcsStandIn, request: Request, parts: dict[str, str]) -> Answer:
    way = request.query.get("uploadType", "")
    if "upload_id" in request.query:
        return _go_on(stand_in, request)
    facts: dict[str, object] = {}
    data = request.body
    if way == "multipart":
        head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
        boundary = b"--" + email.message_from_bytes(head).get_boundary("").encode()
        _, first, second, _ = request.body.split(boundary)
        facts = json.loads(first.partition(b"\r\n\r\n")[2])
        type_line, _, data = second.partition(b"\r\n\r\n")
        data = data.removesuffix(b"\r\n")
        facts.setdefault("contentType", type_line.partition(b":")[2].strip().decode())
    elif way == "resumable":
        facts = request.json()
        name = request.query.get("name") or str(facts["name"])
        session = uuid.uuid4().hex
        stand_in.sessions[session] = Session(parts["bucket"], name, facts, request.conditions())
        query = f"uploadType=resumable&upload_id={session}"
        host = request.headers.get("host", "www.googleapis.com")
        return Answer(200, b"", {"Location": f"https://{host}{request.path}?{query}"})
    name = request.query.get("name") or str(facts["name"])
    return _put(stand_in, parts["bucket"], name, data, facts, request.conditions())


def _put(
    stand_in: GcsStandIn,
    bucket: str,
    name: str,
    data: bytes,
    facts: dict[str, object],
    conditions: dict[str, int],
) -> Answer:
    metadata = facts.get("metadata") or {}
    assert isinstance(metadata, dict)
    stand_in.created.append(name)
    kind = str(facts.get("contentType") or "application/octet-stream")
    found = stand_in.objects.put(
        bucket, name, data, content_type=kind, metadata=metadata, conditions=conditions
    )
    return Answer.of(found.resource())


@dataclass
class Session:
    """A resumable upload that has begun."""

    bucket: str
    name: str
    facts: dict[str, object]
    conditions: dict[str, int]
    data: bytes = b""
    done: Answer | None = None


def _go_on(stand_in: GcsStandIn, request: Request) -> Answer:
    session = stand_in.sessions.get(request.query["upload_id"])
    if session is None:
        raise RefusedError(404, "No such upload.")
    asked = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", request.headers.get("content-range", ""))
    total = None
    if asked is None:
        session.data = request.body
        total = len(request.body)
    else:
        if asked[1] is not None:
            session.data = session.data[: int(asked[1])] + request.body
        total = None if asked[3] == "*" else int(asked[3])
    if session.done is None and total is not None and len(session.data) >= total:
        session.done = _put(
            stand_in, session.bucket, session.name, session.data, session.facts, session.conditions
        )
    if session.done is not None:
        return session.done
    had = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
    return Answer(308, b"", had)


_ANSWERS = {
    "batch": _batch,
    "token": _token,
    "tokeninfo": _tokeninfo,
    "locations": _locations,
    "bucket": _bucket,
    "layout": _layout,
    "permissions": _permissions,
    "list": _list,
    "get": _get,
    "patch": _patch,
    "delete": _delete,
    "compose": _compose,
    "rewrite": _rewrite,
    "create": _create,
    "read": _read,
}
