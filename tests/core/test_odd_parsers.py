"""Parsers of what other programs wrote, with random bytes and with real files that were changed.

A few rounds here, 10,000 each with HUB_MAGIC_STRESS (`scripts/stress`).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import model_archive
from care_cache import GRAPH
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import Response
from requests.structures import CaseInsensitiveDict
from test_care_savedmodel import model

from hub_magic import DownloadError, SettingError
from hub_magic.cache.layout import Descriptor, Holder, descriptor_text, lock_text, read_descriptor, read_lock
from hub_magic.cache.record import EntryRecord, FileRecord, parse_record, record_text
from hub_magic.cache.savedmodel import NotReadableError, read_graphs, read_outline
from hub_magic.care.export import LIST, read_list
from hub_magic.download.archive import unpack
from hub_magic.download.decode import ArchiveDamagedError, NotAnArchiveError, decompress, read_digests
from hub_magic.download.http import _read_facts as read_facts
from hub_magic.download.http import requested_pause
from hub_magic.small_files import (
    OddFileError,
    parse_json,
    parse_number,
    parse_time,
    read_small_file,
    time_from,
)
from hub_magic.widget.messages import within_limits

pytestmark = [pytest.mark.stress, pytest.mark.timeout(7200)]

ROUNDS = 10_000 if os.environ.get("HUB_MAGIC_STRESS") else 100
rounds = settings(
    max_examples=ROUNDS, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)

DESCRIPTOR = descriptor_text(Descriptor("https://h.example/a/b/1", None, "h", 7)).encode()
RECORD = record_text(
    EntryRecord("https://h.example/a/b/1", '"1"', DESCRIPTOR.decode(), (FileRecord("a/b", 7, "0" * 64),))
).encode()
LOCK = lock_text(Holder("host.example", 12, "ab" * 16)).encode()
EXPORTED = json.dumps([{"handle": "https://h/a/1", "file": "a.tar", "sha256": "0" * 64}]).encode()
# What breaks parsers: long runs, deep nesting, numbers at their limits, invalid text.
PIECES = st.sampled_from(
    [
        b"[" * 5000,
        b'{"a":' * 3000,
        b"9" * 5000,
        b"-",
        b"NaN",
        b"1e999",
        b"\\ud800",
        b"\xff\xfe",
        b"\0" * 50,
        b"\n" * 50,
        b'"',
        b"..",
        b"/",
        b"\x80" * 12,
        b"\xff" * 12,
        "\u0663".encode(),
    ]
)


@st.composite
def changed(draw: Callable[[st.SearchStrategy], object], real: bytes) -> bytes:
    """A real file with some of its bytes replaced, removed, repeated or swapped for odd pieces."""
    data = bytearray(real)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8))
        data[at : at + length] = draw(st.one_of(st.binary(max_size=8), PIECES, st.just(b"")))
    return bytes(data)


def like(*real: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=300), *map(changed, real))


@rounds
@given(like(DESCRIPTOR, LOCK))
def test_any_bytes_are_a_descriptor_and_a_lock_or_none(data: bytes) -> None:
    text = data.decode(errors="replace")
    descriptor = read_descriptor(text)
    assert descriptor is None or descriptor.downloaded is None or descriptor.downloaded.tzinfo is None
    holder = read_lock(text)
    assert holder is None or 0 <= holder.pid < 10**19


@rounds
@given(like(RECORD))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    record = parse_record(data.decode(errors="surrogateescape"))
    for file in record.files if record else ():
        os.fsencode(file.path)
        assert not file.path.startswith("/")
        assert ".." not in file.path.split("/")
        assert 0 <= file.size < 1 << 63


@rounds
@given(like(RECORD, EXPORTED), st.text())
def test_any_text_is_json_or_one_error(data: bytes, text: str) -> None:
    for given_text in (data.decode(errors="surrogateescape"), text):
        with contextlib.suppress(OddFileError):
            json.dumps(parse_json(given_text), allow_nan=False)


@rounds
@given(like(EXPORTED))
def test_any_bytes_are_an_export_list_or_a_setting_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, LIST).write_bytes(data)
        with contextlib.suppress(SettingError):
            listed = read_list(Path(directory))
            assert all(".." not in one.file.split("/") for one in listed.values())


@rounds
@given(like(GRAPH, model(objects=True), model(objects=False)))
def test_any_bytes_are_a_graph_or_not_readable(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "saved_model.pb")
        path.write_bytes(data)
        for read in (read_graphs, read_outline):
            with contextlib.suppress(NotReadableError):
                assert read(str(path)) is not None


@rounds
@given(like(model_archive(), model_archive(mode="w:")))
def test_any_bytes_are_an_archive_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        inside = Path(directory, "inside")
        inside.mkdir()
        with contextlib.suppress(DownloadError, ArchiveDamagedError, NotAnArchiveError, OSError):
            assert unpack(decompress(iter([data])), str(inside))
        assert [path.name for path in Path(directory).iterdir()] == ["inside"]


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Content-Length",
            "ETag",
            "Retry-After",
            "Date",
            "Last-Modified",
            "Content-MD5",
            "x-goog-hash",
            "Accept-Ranges",
            "x-goog-stored-content-encoding",
        ]
    ),
    st.one_of(
        st.binary(max_size=40).map(lambda data: data.decode("latin-1")),
        PIECES.map(lambda data: data.decode("latin-1")),
        st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode()),
        st.datetimes().map(lambda time: time.strftime("%a, %d %b %Y %H:%M:%S GMT")),
        st.integers().map(str),
    ),
)


@rounds
@given(HEADERS, st.sampled_from([200, 206, 416, 503]))
def test_any_headers_are_facts(headers: dict[str, str], status: int) -> None:
    answer = Response()
    answer.headers = CaseInsensitiveDict(headers)
    answer.status_code = status
    answer.url = "http://h.example/a"
    facts = read_facts(answer)
    assert facts.size is None or 0 <= facts.size < 10**19
    assert facts.etag.isprintable()
    assert requested_pause(answer) >= 0
    assert all(len(value) in {4, 16} for _, value in read_digests(answer.headers))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@rounds
@given(
    st.dictionaries(
        st.sampled_from(["do", "ask", "rows", "handle", "size", "plan", "job", "deep", "revision", "x"]),
        VALUES,
    )
)
def test_any_message_is_reduced_to_what_a_page_may_send(message: dict[str, object]) -> None:
    kept = within_limits(message)
    assert "x" not in kept
    for key, value in kept.items():
        assert value == message[key]
        assert type(value) in {str, int, list, bool}


@rounds
@given(st.text(), st.floats(allow_nan=False), st.binary(max_size=3000))
def test_any_number_time_and_file_is_read_or_refused(text: str, seconds: float, data: bytes) -> None:
    assert parse_time(text) is None or parse_time(text).tzinfo is None
    assert time_from(seconds) is None or time_from(seconds).year > 0
    with contextlib.suppress(OddFileError):
        assert parse_number(text) == int(text)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "file")
        path.write_bytes(data)
        assert read_small_file(path) == data
        if len(data) > 1100:
            with pytest.raises(OddFileError):
                read_small_file(path, 1100)
