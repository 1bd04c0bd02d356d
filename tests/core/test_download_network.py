"""Downloads from a host that misbehaves: each ends with the model or with one clear line."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
import requests
from archives import model_archive, model_files, read_folder
from faulty_host import VERSION, Fault, FaultyHost

from hub_magic import DownloadError, Fetched, fetch
from hub_magic.download.http import RetryPolicy, requested_pause

RETRIES = RetryPolicy(connect=5, read=0.5, tries=4, pause=0.01, longest=0.05)
FILES = model_files(300_000)
ARCHIVE = model_archive(FILES)
LARGE_FILES = model_files(30 << 20)
BASE64_MD5 = base64.b64encode(hashlib.md5(ARCHIVE).digest()).decode()

Fetch = Callable[..., Fetched]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def get(cache: Path) -> Fetch:
    """Fetches from a host into the cache; the lines shown are in `get.notices`."""

    def get(host: FaultyHost, path: str = "/google/model/1") -> Fetched:
        return fetch(host.url + path, location=str(cache), retries=RETRIES, notice=get.notices.append)

    get.notices = []
    return get


@pytest.fixture(autouse=True)
def nothing_stays(cache: Path):
    """Whatever the host does: no lock, no partial download and no thread stays behind."""
    threads = set(threading.enumerate())
    yield
    names = [path.name for path in cache.iterdir()] if cache.exists() else []
    assert [name for name in names if name.endswith(".lock") or ".tmp" in name] == []
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("hub_magic")]
    assert [thread for thread in ours if thread not in threads] == []


def assert_whole(fetched: Fetched, files: dict[str, bytes] = FILES) -> None:
    assert read_folder(fetched.path) == files
    assert not fetched.was_cached


@pytest.mark.parametrize("at", [0, 1, 5000, 100_000, 299_999])
def test_dropped_connection_is_resumed(get: Fetch, at: int) -> None:
    with FaultyHost(ARCHIVE, [Fault(drop_at=at)]) as host:
        fetched = get(host)
    assert_whole(fetched)
    assert host.ranges_asked == ["", f"bytes={at}-"]
    assert host.seen[1].if_range == VERSION
    assert fetched.bytes == len(ARCHIVE)


def test_connection_dropped_repeatedly_is_resumed_each_time(get: Fetch) -> None:
    drops = [
        Fault(drop_at=50_000),
        Fault(drop_at=70_000),
        Fault(drop_at=1),
        Fault(hang_up=True),
        Fault(drop_at=70_000),
    ]
    with FaultyHost(ARCHIVE, drops) as host:
        assert_whole(get(host))
    assert host.ranges_asked == ["", *(f"bytes={at}-" for at in (50_000, 120_000, 120_001, 120_001, 190_001))]


def test_download_without_ranges_starts_again(get: Fetch) -> None:
    with FaultyHost(ARCHIVE, [Fault(drop_at=100_000)], then=Fault(ranges=False), ranges=False) as host:
        assert_whole(get(host))
    assert host.ranges_asked == ["", "bytes=100000-"]


def test_download_without_a_validator_is_resumed(get: Fetch) -> None:
    bare = {"ETag": "", "Last-Modified": ""}
    with FaultyHost(ARCHIVE, [Fault(drop_at=100_000, headers=bare)], then=Fault(headers=bare)) as host:
        assert_whole(get(host))
    assert host.seen[1].if_range == ""


def test_weak_etag_is_not_sent_in_if_range(get: Fetch) -> None:
    weak = {"ETag": 'W/"weak"'}
    with FaultyHost(ARCHIVE, [Fault(drop_at=100_000, headers=weak)], then=Fault(headers=weak)) as host:
        assert_whole(get(host))
    assert host.seen[1].if_range == formatdate(0, usegmt=True)


def test_silent_connection_is_resumed(get: Fetch) -> None:
    with FaultyHost(ARCHIVE, [Fault(stall_at=100_000)]) as host:
        assert_whole(get(host))
    assert host.ranges_asked[0] == ""
    assert host.ranges_asked[1] in {"bytes=100000-", "bytes=0-"}  # urllib3 1 loses what it had begun to read


def test_host_that_stays_silent_is_an_error(get: Fetch) -> None:
    with (
        FaultyHost(ARCHIVE, then=Fault(stall_at=0)) as host,
        pytest.raises(DownloadError, match=r"stopped responding \(4 attempts\)"),
    ):
        get(host)


def test_host_silent_at_first_is_asked_again(get: Fetch) -> None:
    with (
        FaultyHost(ARCHIVE, then=Fault(hang_up=True)) as host,
        pytest.raises(DownloadError, match=r"was lost \(3 attempts"),
    ):
        get(host)
    assert len(host.seen) == 3


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_temporary_refusals_are_retried_with_one_notice(get: Fetch, status: int) -> None:
    with FaultyHost(ARCHIVE, [Fault(status=status, body=b"busy")] * 2) as host:
        assert_whole(get(host))
    assert len(host.seen) == 3
    assert len(get.notices) == 1
    assert get.notices[0].endswith("Trying again.")


def test_retry_after_is_waited_for(cache: Path) -> None:
    with FaultyHost(ARCHIVE, [Fault(status=503, headers={"Retry-After": "1"})]) as host:
        fetched = fetch(host.url + "/a/b/1", location=str(cache), retries=RetryPolicy(pause=0.01))
    assert fetched.seconds >= 1


def test_retry_after_of_a_day_is_limited(get: Fetch) -> None:
    with FaultyHost(ARCHIVE, [Fault(status=429, headers={"Retry-After": "86400"})]) as host:
        assert_whole(get(host))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": formatdate(1060, usegmt=True), "Date": formatdate(1000, usegmt=True)}, 60),
        ({"Retry-After": formatdate(1000, usegmt=True), "Date": formatdate(1060, usegmt=True)}, 0),
        ({"Retry-After": formatdate(1000, usegmt=True)}, 0),
    ],
)
def test_retry_after_is_parsed(headers: dict[str, str], seconds: float) -> None:
    answer = requests.Response()
    answer.headers.update(headers)
    assert requested_pause(answer) == seconds


def test_permanent_server_error_is_an_error(get: Fetch) -> None:
    with (
        FaultyHost(ARCHIVE, then=Fault(status=503, body=b"")) as host,
        pytest.raises(DownloadError, match="has a server error"),
    ):
        get(host)


def test_archive_changed_during_download_is_fetched_again(get: Fetch) -> None:
    """The part that is there belongs to another version: everything is fetched again."""
    with FaultyHost(ARCHIVE, [Fault(drop_at=100_000)], then=Fault(headers={"ETag": '"version 2"'})) as host:
        assert_whole(get(host))
    assert host.ranges_asked == ["", "bytes=100000-", ""]
    assert "changed at the host" in get.notices[0]


def test_archive_that_keeps_changing_is_an_error(get: Fetch) -> None:
    versions = [Fault(drop_at=90_000, headers={"ETag": f'"{n}"'}) for n in range(20)]
    with FaultyHost(ARCHIVE, versions) as host, pytest.raises(DownloadError, match="changed at the host"):
        get(host)


def test_wrong_range_is_refused_and_retried(get: Fetch) -> None:
    wrong = Fault(headers={"Content-Range": f"bytes 0-{len(ARCHIVE) - 1}/{len(ARCHIVE)}"})
    with FaultyHost(ARCHIVE, [Fault(drop_at=100_000), wrong]) as host:
        assert_whole(get(host))
    assert "from byte 100,000" in get.notices[0]


def test_archive_shorter_than_announced_is_an_error(get: Fetch) -> None:
    with (
        FaultyHost(ARCHIVE, then=Fault(length=len(ARCHIVE) + 100)) as host,
        pytest.raises(DownloadError, match="shorter than"),
    ):
        get(host)


def test_archive_longer_than_announced_is_an_error(get: Fetch) -> None:
    with (
        FaultyHost(ARCHIVE, then=Fault(length=len(ARCHIVE) - 100)) as host,
        pytest.raises(DownloadError, match="is truncated"),
    ):
        get(host)


def test_chunked_archive_without_a_length_is_resumed(get: Fetch) -> None:
    with FaultyHost(ARCHIVE, [Fault(chunked=True, drop_at=100_000)], then=Fault(chunked=True)) as host:
        assert_whole(get(host))


def test_slow_host_sends_everything_in_one_request(get: Fetch) -> None:
    with FaultyHost(ARCHIVE, [Fault(rate=1_000_000)]) as host:
        assert_whole(get(host))
    assert len(host.seen) == 1


def test_archive_damaged_once_is_fetched_again(get: Fetch) -> None:
    broken = bytearray(ARCHIVE)
    broken[150_000] ^= 1
    with FaultyHost(ARCHIVE, [Fault(body=bytes(broken))]) as host:
        assert_whole(get(host))
    assert ": its checksum does not match" in get.notices[0]


def test_archive_damaged_at_the_host_is_an_error(get: Fetch) -> None:
    broken = bytearray(ARCHIVE)
    broken[150_000] ^= 1
    with FaultyHost(bytes(broken)) as host, pytest.raises(DownloadError, match="failed 3 times"):
        get(host)


@pytest.mark.parametrize(
    "headers", [{"Content-MD5": BASE64_MD5}, {"x-goog-hash": f"crc32c=AAAAAA==,md5={BASE64_MD5}"}]
)
def test_digest_of_the_host_is_checked(get: Fetch, headers: dict[str, str]) -> None:
    """A time stamp in gzip's header is not under gzip's checksum; the host's digest covers it."""
    if "md5" in str(headers):
        headers = {**headers, "x-goog-hash": headers.get("x-goog-hash", "").replace("crc32c=AAAAAA==,", "")}
    other = ARCHIVE[:4] + b"\1" + ARCHIVE[5:]
    with FaultyHost(ARCHIVE, then=Fault(headers=headers)) as host:
        assert_whole(get(host))
    with FaultyHost(other, then=Fault(headers=headers)) as host, pytest.raises(DownloadError, match="md5"):
        get(host)


def test_crc32c_of_a_bucket_is_checked(get: Fetch) -> None:
    google_crc32c = pytest.importorskip("google_crc32c")
    value = base64.b64encode(google_crc32c.value(ARCHIVE).to_bytes(4, "big")).decode()
    with FaultyHost(ARCHIVE, then=Fault(headers={"x-goog-hash": f"crc32c={value}"})) as host:
        assert_whole(get(host))
    wrong = {"x-goog-hash": "crc32c=AAAAAA=="}
    with FaultyHost(ARCHIVE, then=Fault(headers=wrong)) as host, pytest.raises(DownloadError, match="crc32c"):
        get(host)
    stored = {**wrong, "x-goog-stored-content-encoding": "gzip"}  # unpacked on the way: not its digest
    with FaultyHost(ARCHIVE, then=Fault(headers=stored)) as host:
        assert_whole(get(host))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(status=404, body=b"no"), "has no model at"),
        (Fault(status=410, body=b"no"), "has no model at"),
        (
            Fault(
                status=403,
                body=b"<Error><Code>SignatureDoesNotMatch</Code><Message>The  request\n x</Message></Error>",
            ),
            r"\(403: SignatureDoesNotMatch - The request x\).*problem on the host's side",
        ),
        (Fault(status=403, body=b"<Error><Code>AccessDenied</Code></Error>"), "AccessDenied.*Gated model"),
        (Fault(status=401), "refuses"),
        (Fault(status=407), "proxy requires a username"),
        (Fault(status=418), "status 418"),
        (Fault(body=b"<!DOCTYPE html><html><body>Log in</body></html>"), "web page.*login page"),
        (Fault(body=b"", headers={"Content-Type": "text/html"}), "empty response"),
        (Fault(body=b"PK\3\4" + bytes(3000)), "not a tar archive"),
        (
            Fault(status=302, headers={"Location": "gs://bucket/model"}),
            "redirects to an address that cannot be downloaded",
        ),
        (
            Fault(status=302, headers={"Location": "/google/model/1"}),
            "redirects to an address that cannot be downloaded",
        ),
        (
            Fault(status=302, headers={"Location": "http://[bad"}),
            "redirects to an address that cannot be downloaded",
        ),
        (
            Fault(status=302, headers={"Location": "http://host:port/"}),
            "redirects to an address that cannot be downloaded",
        ),
        (
            Fault(status=302, headers={"Location": "http:///path"}),
            "redirects to an address that cannot be downloaded",
        ),
        (
            Fault(status=302, headers={"Location": f"http://{'a' * 70}.invalid/"}),
            "redirects to an address that cannot be downloaded|cannot be resolved",
        ),
        (Fault(status=302), "status 302"),
    ],
)
def test_each_refusal_is_one_line_with_its_reason(get: Fetch, fault: Fault, words: str) -> None:
    with FaultyHost(ARCHIVE, then=fault) as host, pytest.raises(DownloadError, match=words) as caught:
        get(host)
    assert "\n" not in str(caught.value)


def test_redirects_are_followed_and_resumed_at_their_end(get: Fetch) -> None:
    with FaultyHost(ARCHIVE, [Fault(drop_at=100_000)]) as bucket:
        there = Fault(status=302, headers={"Location": f"{bucket.url}/signed?key=1"})
        with FaultyHost(b"", then=there) as host:
            assert_whole(get(host))
    assert len(host.seen) == 1
    assert host.seen[0].path == "/google/model/1?tf-hub-format=compressed"
    assert [seen.path for seen in bucket.seen] == ["/signed?key=1"] * 2


def test_signed_address_that_has_expired_is_asked_for_anew(get: Fetch) -> None:
    with FaultyHost(ARCHIVE, [Fault(drop_at=100_000), Fault(status=403)]) as bucket:
        there = Fault(status=302, headers={"Location": f"{bucket.url}/signed"})
        with FaultyHost(b"", then=there) as host:
            assert_whole(get(host))
    assert len(host.seen) == 2
    assert bucket.ranges_asked == ["", "bytes=100000-", "bytes=100000-"]


def test_query_of_the_handle_is_kept(get: Fetch) -> None:
    with FaultyHost(ARCHIVE) as host:
        get(host, "/google/model/1?a=b%20c")
    assert host.seen[0].path == "/google/model/1?a=b+c&tf-hub-format=compressed"


def test_slow_host_is_asked_over_several_connections(get: Fetch) -> None:
    archive = model_archive(LARGE_FILES)
    with FaultyHost(archive, then=Fault(rate=20_000_000)) as host:
        assert_whole(get(host), LARGE_FILES)
    # The first connection is left when the next piece is another's.
    assert 1 < len({seen.client for seen in host.seen}) <= 7
    assert len(host.seen) <= 10
    assert all(seen.if_range == VERSION for seen in host.seen[1:])


def test_dropped_connections_of_several_are_resumed(get: Fetch) -> None:
    archive = model_archive(LARGE_FILES)
    drops = [Fault(rate=20_000_000), *[Fault(rate=20_000_000, drop_at=1 << 20)] * 8]
    with FaultyHost(archive, drops, then=Fault(rate=200_000_000)) as host:
        assert_whole(get(host), LARGE_FILES)


def test_host_with_one_connection_completes_over_it(get: Fetch) -> None:
    """Others are refused: what there is goes on alone."""
    archive = model_archive(LARGE_FILES)
    with FaultyHost(
        archive, [Fault(rate=20_000_000), Fault(status=429)], then=Fault(rate=60_000_000)
    ) as host:
        assert_whole(get(host), LARGE_FILES)


def test_host_that_refuses_ranges_later_completes_over_one_connection(get: Fetch) -> None:
    """As with an address that is good for one request: the second time one connection must do."""
    archive = model_archive(LARGE_FILES)
    with FaultyHost(
        archive, [Fault(rate=40_000_000), Fault(status=403)], then=Fault(rate=200_000_000)
    ) as host:
        assert_whole(get(host), LARGE_FILES)
    assert "the host does not resume it (403)" in get.notices[0]


def test_host_that_ignores_ranges_completes_without_a_notice(get: Fetch) -> None:
    archive = model_archive(LARGE_FILES)
    with FaultyHost(archive, then=Fault(rate=60_000_000, ranges=False)) as host:
        assert_whole(get(host), LARGE_FILES)
    assert len(host.seen) <= 8
    assert get.notices == []


def test_parts_of_different_versions_are_never_mixed(get: Fetch) -> None:
    """As behind a balancer whose machines give the same archive different ETags."""
    archive = model_archive(LARGE_FILES)
    with FaultyHost(archive, [Fault(rate=20_000_000)], then=Fault(headers={"ETag": '"other"'})) as host:
        assert_whole(get(host), LARGE_FILES)
    assert host.ranges_asked[-1] == ""
