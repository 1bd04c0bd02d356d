"""The way to a host: certificates and proxies, as the environment names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import model_archive, model_files, read_folder
from faulty_host import Fault, FaultyHost
from tls import make_certificate

from hub_magic import DownloadError, fetch
from hub_magic.download.http import RetryPolicy

ARCHIVE = model_archive()
RETRIES = RetryPolicy(connect=5, read=5, tries=3, pause=0.01)
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test goes through the proxy of whoever runs it."""
    for name in (*VARIABLES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with a certificate for 127.0.0.1 that nobody has signed, and its key."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def host(certificate: str) -> Iterator[FaultyHost]:
    with FaultyHost(ARCHIVE, certificate=certificate) as host:
        yield host


def get(host: FaultyHost, cache: Path) -> dict[str, bytes]:
    return read_folder(fetch(f"{host.url}/a/b/1", location=str(cache), retries=RETRIES).path)


def test_unknown_certificate_is_refused_in_one_line(host: FaultyHost, tmp_path: Path) -> None:
    with pytest.raises(
        DownloadError, match=r"certificate of 127\.0\.0\.1:\d+ is not trusted .*SSL_CERT_FILE"
    ) as caught:
        get(host, tmp_path)
    assert "\n" not in str(caught.value)
    assert host.seen == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificate_named_in_the_environment_is_trusted(
    host: FaultyHost, certificate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, certificate)
    assert get(host, tmp_path) == model_files()


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_bundle_that_cannot_be_used_leaves_the_systems_certificates(
    host: FaultyHost, certificate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """tensorflow_hub does not read requests' variables."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with pytest.raises(DownloadError, match="is not trusted"):
        get(host, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    assert get(host, tmp_path) == model_files()


def test_disabled_certificate_check_downloads(
    host: FaultyHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tensorflow_hub's own variable, in its own spelling; urllib3 warns."""
    monkeypatch.setenv("TFHUB_DISABLE_CERT_VALIDATION", "1")
    with pytest.raises(DownloadError, match="not trusted"):
        get(host, tmp_path)
    monkeypatch.setenv("TFHUB_DISABLE_CERT_VALIDATION", "true")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.warns(Warning, match="Unverified HTTPS request"):
        assert get(host, tmp_path) == model_files()


def test_dropped_tls_connection_is_resumed(
    host: FaultyHost, certificate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    host.archive = model_archive(model_files(300_000))
    host.faults = [Fault(drop_at=100_000), Fault(hang_up=True)]
    assert get(host, tmp_path) == model_files(300_000)
    assert host.ranges_asked == ["", "bytes=100000-", "bytes=100000-"]


def test_proxy_carries_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyHost(ARCHIVE) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        fetched = fetch("http://behind.invalid/a/b/1", location=str(tmp_path), retries=RETRIES)
        assert read_folder(fetched.path) == model_files()
        assert proxy.seen[0].path == "http://behind.invalid/a/b/1?tf-hub-format=compressed"
        monkeypatch.setenv("NO_PROXY", "behind.invalid")
        with pytest.raises(DownloadError, match="cannot be resolved"):
            fetch("http://behind.invalid/a/b/2", location=str(tmp_path), retries=RETRIES)
        assert len(proxy.seen) == 1


def test_login_page_of_a_proxy_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Fault(body=b"<html><form>Name, password</form></html>")
    with FaultyHost(b"", then=page) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(DownloadError, match=r"web page instead of .* archive\..*login page"):
            fetch("http://behind.invalid/a/b/1", location=str(tmp_path), retries=RETRIES)


def test_failing_proxy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyHost(b"") as proxy:  # it knows no CONNECT
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(DownloadError, match=r"proxy could not connect to behind\.invalid"):
            fetch("https://behind.invalid/a/b/1", location=str(tmp_path), retries=RETRIES)
    with pytest.raises(DownloadError, match=r"proxy could not connect to behind\.invalid"):
        fetch("https://behind.invalid/a/b/1", location=str(tmp_path), retries=RETRIES)  # it is gone
