"""What is sent to hosts: logins, time-outs, and the way through proxies."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import model_archive, model_files, read_folder
from faulty_host import Fault, FaultyHost, Seen

from hub_magic import DownloadError, SettingError, fetch
from hub_magic.download import proxies
from hub_magic.download.proxies import ProxyAddress, parse_proxy, routes_to
from hub_magic.download.web import RetryPolicy, retry_policy
from hub_magic.settings import read_timeout

ARCHIVE = model_archive()
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test uses the proxies or logins of whoever runs it."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


class ListeningHost(FaultyHost):
    """A host that takes down the headers of each request, and may send the requests elsewhere."""

    def __init__(self, *, to: str = "", cookie: str = "") -> None:
        super().__init__(ARCHIVE)
        self.to = to
        self.cookie = cookie

    def next_fault(self, seen: Seen) -> Fault:
        super().next_fault(seen)
        headers = {"Set-Cookie": self.cookie} if self.cookie else {}
        if not self.to:
            return Fault(headers=headers)
        return Fault(status=302, headers={"Location": self.to, **headers})

    @property
    def logins(self) -> list[str]:
        return [seen.headers.get("Authorization", "") for seen in self.seen]

    @property
    def cookies(self) -> list[str]:
        return [seen.headers.get("Cookie", "") for seen in self.seen]


def basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


def write_netrc(home: Path, text: str) -> None:
    path = home / ".netrc"
    path.write_text(text)
    path.chmod(0o600)


OWN = "machine 127.0.0.1 login me password secret\n"


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("default login me password secret\n", ""),
        (OWN, basic("me:secret")),
        (OWN + "default login other password secret\n", basic("me:secret")),
        ("machine 127.0.0.1.example login me password secret\n", ""),
        ("machine example login me password secret\n", ""),
        ("machine 127.0.0.1 login\n", ""),
        ("nonsense", ""),
        ("\xff\xfe", ""),
    ],
)
def test_netrc_speaks_for_the_host_that_it_names(tmp_path: Path, text: str, sent: str) -> None:
    write_netrc(tmp_path, text)
    with ListeningHost() as host:
        fetch(f"{host.url}/a/b/1", location=str(tmp_path / "cache"))
    assert host.logins == [sent]


def test_login_is_not_sent_to_another_host_nor_back(tmp_path: Path) -> None:
    """Another port of one computer is another host, whatever netrc says of the computer."""
    write_netrc(tmp_path, OWN)
    with ListeningHost() as last:
        with ListeningHost(to=f"{last.url}/elsewhere", cookie="id=secret") as first:
            fetch(f"{first.url}/a/b/1", location=str(tmp_path / "cache"))
        assert first.logins == [basic("me:secret")]
        assert last.logins == [""]
        assert last.cookies == [""]

    class Bouncing(ListeningHost):
        def next_fault(self, seen: Seen) -> Fault:
            fault = super().next_fault(seen)
            return Fault() if "back" in seen.path else fault

    with Bouncing() as first, ListeningHost(to=f"{first.url}/back") as other:
        first.to = f"{other.url}/there"
        fetch(f"{first.url}/a/b/1", location=str(tmp_path / "cache"))
    assert first.logins == [basic("me:secret"), ""]
    assert other.logins == [""]


def test_login_follows_a_redirect_on_its_own_host_and_resumes(tmp_path: Path) -> None:
    write_netrc(tmp_path, OWN)

    class Redirecting(ListeningHost):
        def next_fault(self, seen: Seen) -> Fault:
            super().next_fault(seen)
            if "signed" not in seen.path:
                return Fault(status=307, headers={"Location": "/signed"})
            return Fault(drop_at=1000) if len(self.seen) == 2 else Fault()

    with Redirecting() as host:
        fetch(f"{host.url}/a/b/1", location=str(tmp_path / "cache"), retries=RetryPolicy(pause=0.01))
    assert host.logins == [basic("me:secret")] * 3
    assert [seen.path for seen in host.seen[1:]] == ["/signed"] * 2


def test_resumed_part_from_another_host_gets_no_login(tmp_path: Path) -> None:
    write_netrc(tmp_path, OWN)

    class Dropping(ListeningHost):
        def next_fault(self, seen: Seen) -> Fault:
            super().next_fault(seen)
            return Fault(drop_at=1000) if len(self.seen) == 1 else Fault()

    with Dropping() as last, ListeningHost(to=f"{last.url}/x") as first:
        fetch(f"{first.url}/a/b/1", location=str(tmp_path / "cache"), retries=RetryPolicy(pause=0.01))
    assert last.logins == ["", ""]
    assert len(first.seen) == 1


def test_login_in_a_handle_goes_to_its_host_only(tmp_path: Path) -> None:
    with ListeningHost() as last, ListeningHost(to=f"{last.url}/x") as first:
        handle = first.url.replace("//", "//na%20me:pass%2Fword@") + "/a/b/1"
        fetched = fetch(handle, location=str(tmp_path / "cache"))
    assert read_folder(fetched.path) == model_files()
    assert first.logins == [basic("na me:pass/word")]
    assert first.seen[0].headers["Host"] == first.url.partition("//")[2]
    assert last.logins == [""]


def test_headers_of_ours_never_reach_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ListeningHost() as host:
        fetch(f"{host.url}/a/b/1", location=str(tmp_path / "cache"))
        monkeypatch.setenv("HTTP_PROXY", host.url)
        fetch("http://behind.invalid//a/./b?x=1", location=str(tmp_path / "cache"))
    assert [seen.path for seen in host.seen] == [
        "/a/b/1?tf-hub-format=compressed",
        "http://behind.invalid//a/./b?x=1&tf-hub-format=compressed",
    ]
    assert not [name for seen in host.seen for name in seen.headers if name.lower().startswith("x-hub")]


# ---------------------------------------------------------------- time-outs


class SlowHost(FaultyHost):
    """A host that answers the request that waits long enough; the others hang until the host is closed."""

    def __init__(self, tries: int) -> None:
        super().__init__(ARCHIVE)
        self.tries = tries

    def next_fault(self, seen: Seen) -> Fault:
        super().next_fault(seen)
        if len(self.seen) < self.tries:
            self.closing.wait()
        return Fault()


def test_each_try_waits_longer() -> None:
    policy = RetryPolicy()
    assert [policy.timeouts(failures)[1] for failures in range(4)] == [30, 60, 120, 120]
    assert [policy.timeouts(failures)[0] for failures in range(4)] == [15, 30, 60, 60]
    assert retry_policy(600).timeouts(0) == (15, 600)
    assert retry_policy(0.5).timeouts(1) == (1, 1)


def test_slow_host_is_waited_for_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    inner = RetryPolicy.timeouts

    def timeouts(policy: RetryPolicy, failures: int) -> tuple[float, float]:
        waited.append(inner(policy, failures)[1])
        return inner(policy, failures)

    monkeypatch.setattr(RetryPolicy, "timeouts", timeouts)
    monkeypatch.setenv("HUB_MAGIC_TIMEOUT", "0.2")
    with SlowHost(tries=3) as host:
        fetch(f"{host.url}/a/b/1", location=str(tmp_path))
    assert waited == [0.2, 0.4, 0.8]
    assert len(host.seen) == 3
    waited.clear()
    with SlowHost(tries=9) as host, pytest.raises(DownloadError, match="stopped responding") as caught:
        fetch(f"{host.url}/a/b/2", location=str(tmp_path), timeout=0.1)
    assert waited == [0.1, 0.2, 0.4]
    assert "HUB_MAGIC_TIMEOUT" in str(caught.value)
    assert f"%hub_cache --fetch {host.url}/a/b/2 --timeout 600" in str(caught.value)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize(
    "text",
    ["soon", "-1", "0", "1e3", "nan", "inf", "86401", "9" * 30, "1,5", "\u0661\u0660", "0x10", "1 2", "1s"],
)
def test_timeout_that_is_no_number_of_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HUB_MAGIC_TIMEOUT", text)
    with (
        ListeningHost() as host,
        pytest.raises(SettingError, match=r"HUB_MAGIC_TIMEOUT .*number of sec") as caught,
    ):
        fetch(f"{host.url}/a/b/1", location=str(tmp_path))
    assert "\n" not in str(caught.value)
    assert host.seen == []
    assert list(tmp_path.glob("*.lock")) == []


def test_timeout_as_it_is_read() -> None:
    assert read_timeout({}) is None
    assert read_timeout({"HUB_MAGIC_TIMEOUT": " "}) is None
    assert read_timeout({"HUB_MAGIC_TIMEOUT": " 2.5 "}) == 2.5
    assert read_timeout({"HUB_MAGIC_TIMEOUT": "86400"}) == 86400


# ---------------------------------------------------------------- proxies


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://proxy:3128", ProxyAddress("http", "", "proxy:3128")),
        ("HTTPS://proxy", ProxyAddress("https", "", "proxy")),
        ("proxy:3128", ProxyAddress("", "", "proxy:3128")),
        ("//proxy:3128/", ProxyAddress("", "", "proxy:3128")),
        ("http://a:b/c@proxy:1/path", ProxyAddress("http", "a:b%2Fc", "proxy:1")),
        ("http://a:b%40c@proxy:1", ProxyAddress("http", "a:b%40c", "proxy:1")),
        ("a:b@proxy:1", ProxyAddress("", "a:b", "proxy:1")),
        ("http://[::1]:3128", ProxyAddress("http", "", "[::1]:3128")),
        (" socks5://proxy:1 ", ProxyAddress("socks5", "", "proxy:1")),
    ],
)
def test_proxy_addresses(text: str, address: ProxyAddress) -> None:
    assert parse_proxy(text) == address


@pytest.mark.parametrize(
    "text",
    ["http://", "http:/proxy", "http://:3128", "http://proxy:port", "http://pro xy", "http://[::1", "''"],
)
@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY"])
def test_address_of_no_proxy_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, variable: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(DownloadError) as caught:
        fetch(
            "https://behind.invalid/a/b/1", location=str(tmp_path), retries=RetryPolicy(pause=0.01, tries=1)
        )
    assert "\n" not in str(caught.value)
    says = "The proxy's address" if variable == "https_proxy" else "cannot be resolved"
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "url", "ways"),
    [
        ({}, "https://h/x", [""]),
        ({"ALL_PROXY": "socks5://p:1"}, "https://h/x", [""]),
        ({"ALL_PROXY": "http://p:1"}, "https://h/x", ["http://p:1", ""]),
        ({"ALL_PROXY": "p:1", "no_proxy": "h"}, "https://h/x", [""]),
        ({"https_proxy": "socks5h://p:1"}, "https://h/x", ["http://p:1"]),
        ({"https_proxy": "foo://p:1"}, "https://h/x", ["http://p:1"]),
        ({"https_proxy": "http://a:b@p"}, "https://h/x", ["http://a:b@p:443", "http://a:b@p:80"]),
        ({"http_proxy": "http://p"}, "http://h/x", ["http://p"]),
        ({"https_proxy": "p:1", "no_proxy": "h:443"}, "https://h/x", ["http://p:1"]),
        ({"https_proxy": "p:1", "no_proxy": "h:443"}, "https://h:443/x", [""]),
        ({"https_proxy": "p:1", "no_proxy": ".h"}, "https://a.h/x", [""]),
        ({"https_proxy": "p:1", "no_proxy": "10.0.0.0/8"}, "https://10.1.2.3/x", ["", "http://p:1"]),
        ({"https_proxy": "p:1", "no_proxy": "fd00::/8"}, "https://[fd00::1]/x", ["", "http://p:1"]),
        ({"https_proxy": "p:1", "no_proxy": "10.0.0.0/8"}, "https://11.1.2.3/x", ["http://p:1"]),
        ({"https_proxy": "p:1", "no_proxy": "10.0.0.0/99,a/b"}, "https://10.1.2.3/x", ["http://p:1"]),
    ],
)
def test_ways_to_a_host(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, ways: list[str]
) -> None:
    monkeypatch.setattr(proxies, "has_socks", lambda: False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert [route.proxy for route in routes_to(url)] == ways


def test_socks_is_used_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "has_socks", lambda: True)
    monkeypatch.setenv("ALL_PROXY", "socks5h://me:secret@p:1")
    assert [route.proxy for route in routes_to("http://h/x")] == ["socks5h://me:secret@p:1", ""]
    monkeypatch.setenv("https_proxy", "socks4://p:2")
    assert [route.proxy for route in routes_to("https://h/x")] == ["socks4://p:2"]
    monkeypatch.setenv("ALL_PROXY", "socks://p:1")  # no version that requests knows
    assert [route.proxy for route in routes_to("http://h/x")] == [""]


def test_socks_proxy_without_pysocks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "has_socks", lambda: False)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(DownloadError, match="PySocks, which is not installed: %pip install pysocks"):
        fetch("https://behind.invalid/a", location=str(tmp_path), retries=RetryPolicy(pause=0.01, tries=1))


# ---------------------------------------------------------------- again


@pytest.fixture
def old_and_new() -> Iterator[FaultyHost]:
    with FaultyHost(ARCHIVE) as host:
        yield host


def test_forced_download_replaces_an_intact_copy(old_and_new: FaultyHost, tmp_path: Path) -> None:
    handle = f"{old_and_new.url}/a/b/1"
    first = fetch(handle, location=str(tmp_path))
    new = model_files(5000, seed=1)
    old_and_new.archive = model_archive(new)
    assert fetch(handle, location=str(tmp_path)).was_cached
    again = fetch(handle, location=str(tmp_path), force=True)
    assert (again.path, again.was_cached) == (first.path, False)
    assert read_folder(again.path) == new
    assert fetch(handle, location=str(tmp_path)).was_cached
    assert sorted(path.name[40:] for path in tmp_path.iterdir()) == ["", ".descriptor.txt", ".files.json"]


@pytest.mark.parametrize(
    "fault", [Fault(status=404), Fault(body=ARCHIVE[:-20]), Fault(body=b"<html>"), Fault(hang_up=True)]
)
def test_forced_download_that_fails_keeps_the_copy(
    old_and_new: FaultyHost, tmp_path: Path, fault: Fault
) -> None:
    handle = f"{old_and_new.url}/a/b/1"
    first = fetch(handle, location=str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    old_and_new.then = fault
    with pytest.raises(DownloadError):
        fetch(handle, location=str(tmp_path), force=True, retries=RetryPolicy(pause=0.01, tries=2))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert fetch(handle, location=str(tmp_path)).was_cached
    assert read_folder(first.path) == model_files()


def test_two_forced_downloads_at_once_are_one(old_and_new: FaultyHost, tmp_path: Path) -> None:
    handle = f"{old_and_new.url}/a/b/1"
    fetch(handle, location=str(tmp_path))
    old_and_new.archive = model_archive(model_files(300_000))
    old_and_new.then = Fault(rate=500_000)
    old_and_new.started.clear()
    first = threading.Thread(target=fetch, args=(handle,), kwargs={"location": str(tmp_path), "force": True})
    first.start()
    old_and_new.started.wait()
    second = fetch(handle, location=str(tmp_path), force=True)
    first.join()
    assert len(old_and_new.seen) == 2
    assert second.bytes == 0


def test_force_needs_a_network_and_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match="--force works with caches on disk"):
        fetch("https://tfhub.dev/a/b/1", location="gs://bucket/x", force=True)
    monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")
    with pytest.raises(SettingError, match="offline mode is on"):
        fetch("https://tfhub.dev/a/b/1", location=str(tmp_path), force=True)
