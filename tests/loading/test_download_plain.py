"""The same downloads with plain tensorflow_hub and with ours: what comes out, what is raised, what hosts see."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import socket
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from archives import file, folder, gzipped, special, tar
from faulty_host import Fault, FaultyHost, Seen
from fork_server import run_python
from repository import process_environment
from tls import make_certificate

if TYPE_CHECKING:
    from typing_extensions import Self

pytestmark = pytest.mark.tensorflow

# Resolves handle after handle, each with variables of its own and an empty cache, and says how each ended.
RESOLVE = """
import hashlib, json, os, pathlib, pickle, sys
from hub_magic.import_hooks import pkg_resources_stand_in
with pkg_resources_stand_in():
    import tensorflow_hub as hub
which, cache, cases = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if which == "ours":
    from hub_magic import download
    from hub_magic.download import transfer, web
    transfer.retry_policy = lambda: web.RetryPolicy(connect=3, read=3, tries=3, pause=0.01)
    download.install()
before = dict(os.environ)
told = []
for number, (handle, variables) in enumerate(cases):
    os.environ.clear()
    os.environ.update({**before, "TFHUB_CACHE_DIR": f"{cache}/{which}/{number}", **variables})
    try:
        root = pathlib.Path(hub.resolve(handle))
        files = {str(one.relative_to(root)): hashlib.sha256(one.read_bytes()).hexdigest()
                 for one in root.rglob("*") if one.is_file()}
        told.append({"files": files})
    except Exception as error:
        kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
        told.append({"kinds": kinds, "code": getattr(error, "code", None), "text": str(error)})
        if which == "ours":
            again = pickle.loads(pickle.dumps(error))
            assert (type(again), str(again)) == (type(error), str(error)), error
            assert getattr(again, "code", None) == told[-1]["code"], error
print("\\n" + json.dumps(told))
"""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
Case = tuple[str, dict[str, str]]


def resolved(which: str, cache: Path, cases: list[Case], **variables: str) -> list[dict[str, Any]]:
    """How each of these handles ended, with "plain" or "ours"; these variables are there from the start."""
    env = process_environment(**variables)
    for name in PROXIES:
        env.pop(name, None)
        env.pop(name.upper(), None)
    done = run_python("-c", RESOLVE, which, str(cache), json.dumps(cases), env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class ManyArchives(FaultyHost):
    """A host with another fault under each path."""

    def __init__(self, served: dict[str, Fault]) -> None:
        super().__init__(b"")
        self.served = served

    def next_fault(self, seen: Seen) -> Fault:
        super().next_fault(seen)
        return self.served[seen.path.partition("?")[0]]

    def count(self, path: str) -> int:
        return sum(seen.path.partition("?")[0] == path for seen in self.seen)


MEMBERS = [folder("./"), file("./saved_model.pb", b"graph"), file("./x", b"x")]
PLAIN_TAR = tar(MEMBERS)
UNENDED = PLAIN_TAR[: 512 * 5]


def also(*members: Any) -> bytes:
    return tar([*MEMBERS, *members])


def in_format(form: int, name: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form, pax_headers={"comment": "x" * 5000}) as archive:
        archive.addfile(file(name, b"x")[0], io.BytesIO(b"x"))
    return packed.getvalue()


def with_mode(mode: int) -> bytes:
    info, data = file("tool", b"x")
    info.mode = mode
    return also((info, data))


ARCHIVES = {
    "gzip": gzipped(PLAIN_TAR),
    "bzip2": bz2.compress(PLAIN_TAR),
    "xz": lzma.compress(PLAIN_TAR),
    "lzma": lzma.compress(PLAIN_TAR, lzma.FORMAT_ALONE),
    "tar": PLAIN_TAR,
    "absolute": also(file("/b", b"x"), file("//c", b"x")),
    "repeated": also(folder("d"), file("d/a", b"long" * 99), folder("d"), file("d/a", b"b"), file("x", b"y")),
    "same-twice": also(file("x", b"x")),
    "up-and-down": also(folder("d"), file("d/../e", b"x"), file("./././f", b"x")),
    "dots": also(file(".hidden", b"x"), file("a..b", b"x")),
    "slash-at-end": also(folder("d/"), folder("./d//e/")),
    "after-gzip": gzipped(PLAIN_TAR) + b"more",
    "after-gzip-long": gzipped(PLAIN_TAR) + b"more" * 50_000,
    "after-bzip2": bz2.compress(PLAIN_TAR) + b"more",
    "after-xz": lzma.compress(PLAIN_TAR) + b"more",
    "after-tar": PLAIN_TAR + b"more" * 1000,
    "after-tar-gzipped": gzipped(PLAIN_TAR + b"more" * 1000),
    "two-archives": gzipped(PLAIN_TAR) + gzipped(also(file("other", b"x"))),
    "two-tars": PLAIN_TAR + also(file("other", b"x")),
    "second-damaged": gzipped(PLAIN_TAR) + gzipped(PLAIN_TAR)[:-8] + bytes(8),
    "no-end": UNENDED,
    "no-end-gzipped": gzipped(UNENDED),
    "one-zero-block": gzipped(UNENDED + bytes(512)),
    "few-bytes-at-end": UNENDED + b"few",
    "ustar": in_format(tarfile.USTAR_FORMAT, "n" * 100),
    "gnu": in_format(tarfile.GNU_FORMAT, "n" * 200),
    "pax": in_format(tarfile.PAX_FORMAT, "n" * 200),
    "setuid": with_mode(0o6777),
    "closed": with_mode(0),
    "backslash": also(file("a\\b", b"x")),
    "link": also(special("a", tarfile.SYMTYPE, "x")),
    "hard-link": also(special("a", tarfile.LNKTYPE, "x")),
    "device": also(special("a", tarfile.CHRTYPE)),
    "pipe": also(special("a", tarfile.FIFOTYPE)),
    "label": also(special("a", b"V")),
    "leads-out": also(file("../a", b"x")),
    "leads-out-absolute": also(file("/../a", b"x")),
    "html": b"<html>" * 200,
    "zip": b"PK\3\4" + bytes(2000),
    "empty": b"",
    "cut-tar": also(file("a", b"x" * 9000))[:6000],
}
# What plain takes and we do not, and why.
REFUSED_ON_PURPOSE = {
    "without-its-trailer": (gzipped(PLAIN_TAR)[:-8], "cut short: what is missing may be the model's"),
    "wrong-checksum": (gzipped(PLAIN_TAR)[:-8] + bytes(8), "damaged: plain never compares the checksum"),
    "broken-header": (
        gzipped(PLAIN_TAR[:1536] + b"\1" * 512 + PLAIN_TAR[2048:]),
        "plain loses every file after the header, silently",
    ),
}


def assert_alike(plain: dict[str, Any], ours: dict[str, Any], what: str) -> None:
    """What plain loads, we load; what it raises, we raise, of its class and in one line."""
    assert ours.get("files") == plain.get("files"), (what, plain, ours)
    if "kinds" in plain:
        missing = set(plain["kinds"]) - set(ours["kinds"])
        assert not missing, (what, missing, ours)
        assert plain["code"] == ours["code"], what
        assert ours["kinds"][1:].count("hub_magic.errors.DownloadError"), what
        assert ours["text"] == " ".join(ours["text"].split()), what


def test_archives_are_unpacked_alike(tmp_path: Path) -> None:
    with ManyArchives({f"/{name}": Fault(body=body) for name, body in ARCHIVES.items()}) as host:
        cases: list[Case] = [(f"{host.url}/{name}", {}) for name in ARCHIVES]
        plain = resolved("plain", tmp_path, cases)
        asked = {name: host.count(f"/{name}") for name in ARCHIVES}
        ours = resolved("ours", tmp_path, cases)
        for name, theirs, mine in zip(ARCHIVES, plain, ours, strict=True):
            assert_alike(theirs, mine, name)
            assert host.count(f"/{name}") == asked[name] + 1, name
    assert sum("files" in one for one in plain) >= 30
    assert {"after-gzip", "absolute"} <= {
        name for name, one in zip(ARCHIVES, ours, strict=True) if "files" in one
    }


def test_damage_that_plain_misses_is_a_failure(tmp_path: Path) -> None:
    bodies = {f"/{name}": Fault(body=body) for name, (body, _) in REFUSED_ON_PURPOSE.items()}
    with ManyArchives(bodies) as host:
        cases: list[Case] = [(f"{host.url}{path}", {}) for path in bodies]
        plain, ours = resolved("plain", tmp_path, cases), resolved("ours", tmp_path, cases)
    assert all("files" in one for one in plain)
    assert all("builtins.OSError" in one.get("kinds", ()) for one in ours), ours


TARGETS = (
    "/a/b/1",
    "//a//b",
    "/a/./b",
    "/a/../b/1",
    "/a/%2e%2e/b",
    "/a%2Fb%2fc",
    "/a~b%7Ec",
    "/a/b/",
    "/a;x=1;y",
    "/a'b(c)!*,=:@&+$",
    '/a"b<c>d|e^f`g{h}',
    "/a%zz%",
    "/a\\b",
    "",
    "/",
    "?x=1",
    "/a?x=1&y=%20&z=a+b&x=2",
    "/a?x=&y",
    "/a?x=http://b/c//d/../e",
    "/a#part",
    "/a?x=1#part",
)


def test_paths_are_sent_alike(tmp_path: Path) -> None:
    with FaultyHost(gzipped(PLAIN_TAR)) as host:
        cases: list[Case] = [(host.url + target, {}) for target in TARGETS]
        assert all("files" in one for one in resolved("plain", tmp_path, cases))
        plain = [seen.path for seen in host.seen]
        host.seen.clear()
        assert all("files" in one for one in resolved("ours", tmp_path, cases))
        assert [seen.path for seen in host.seen] == plain
    assert plain[1] == "//a//b?tf-hub-format=compressed"


LOCATIONS = (
    "{url}/signed//x/./y/../z?sig=a%2Fb%2fc",
    "/absolute/./path",
    "//{place}//network-path",
    "{url}",
    "{url}/with blank",
    "{url}/ümlaut%c3",
    "{url}/part#part",
)


@pytest.mark.parametrize("status", [302, 307])
def test_redirects_lead_to_the_same_paths(tmp_path: Path, status: int) -> None:
    class Redirecting(FaultyHost):
        def next_fault(self, seen: Seen) -> Fault:
            super().next_fault(seen)
            number = seen.path.removeprefix("/from/").partition("?")[0]
            if not seen.path.startswith("/from/"):
                return self.then
            location = LOCATIONS[int(number)].format(url=self.url, place=self.url.partition("//")[2])
            return Fault(status=status, headers={"Location": location}, body=b"elsewhere")

    with Redirecting(gzipped(PLAIN_TAR)) as host:
        cases: list[Case] = [(f"{host.url}/from/{number}", {}) for number in range(len(LOCATIONS))]
        plain_told = resolved("plain", tmp_path, cases)
        plain = [seen.path for seen in host.seen]
        host.seen.clear()
        ours_told = resolved("ours", tmp_path, cases)
        assert [seen.path for seen in host.seen] == plain
    assert all("files" in one for one in plain_told)
    assert ours_told == plain_told


FAILURES = {
    **{
        f"status {status}": Fault(status=status, body=b"no")
        for status in (400, 401, 403, 404, 410, 418, 500, 503)
    },
    **{f"to {to}": Fault(status=302, headers={"Location": to}) for to in ("gs://bucket/model", "ftps://x/y")},
    "no location": Fault(status=302),
    "to itself": Fault(status=302, headers={"Location": "?again"}),
    "page": Fault(body=b"<!doctype html><html>log in</html>" * 40),
    "hang up": Fault(hang_up=True),
    "bad link": Fault(body=gzipped(also(special("a", tarfile.SYMTYPE, "x")))),
}


def test_failures_are_also_what_plain_raises(tmp_path: Path) -> None:
    with ManyArchives({f"/{number}": fault for number, fault in enumerate(FAILURES.values())}) as host:
        cases: list[Case] = [(f"{host.url}/{number}", {}) for number in range(len(FAILURES))]
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            place = f"127.0.0.1:{nobody.getsockname()[1]}"
        cases += [(f"http://{place}/a", {}), (f"https://{place}/a", {}), ("http://nobody.invalid/a", {})]
        cases += [(f"https://{host.url.partition('//')[2]}/0", {})]  # which speaks no TLS
        cases += [
            (handle, {"TFHUB_MODEL_LOAD_FORMAT": "UNCOMPRESSED"})
            for handle in (f"{host.url}/0", f"{host.url}/3", f"{host.url}/7", f"http://{place}/a")
        ]
        cases += [
            (f"{host.url}/0", {"TFHUB_CACHE_DIR": place})
            for place in ("/dev/null/models", "/proc/nothing/models", str(tmp_path / ("x" * 300)))
        ]
        plain = resolved("plain", tmp_path, cases)
        visits = host.count(f"/{[*FAILURES].index('to itself')}")
        ours = resolved("ours", tmp_path, cases)
        assert host.count(f"/{[*FAILURES].index('to itself')}") == 2 * visits
    assert [one for one in plain if "kinds" not in one] == []
    for (handle, _), name, theirs, mine in zip(
        cases, [*FAILURES, *[""] * len(cases)], plain, ours, strict=False
    ):
        assert_alike(theirs, mine, name or handle)
    assert {404, 503} <= {one["code"] for one in ours}


class Tunnel:
    """A proxy that knows CONNECT, in clear; every tunnel leads to one place, which is not asked about.

    Attributes:
        asked: the first line of each request.
    """

    def __init__(self, place: tuple[str, int]) -> None:
        self.place = place
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    @property
    def place_of_proxy(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client:
            first = client.recv(1)
            if first == b"\x16":  # TLS, which this proxy does not speak
                return
            head = first
            while b"\r\n\r\n" not in head and (more := client.recv(1)):
                head += more
            self.asked.append(head.partition(b"\r\n")[0].decode())
            if not head.startswith(b"CONNECT"):
                client.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(self.place) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


PROXY_FORMS = (
    "http://{proxy}",
    "https://{proxy}",
    "{proxy}",
    "HTTP://{proxy}/",
    "http://{proxy}/path",
    "http://name:password@{proxy}",
    "http://name:p%40ss%2Fword@{proxy}",
    "name:password@{proxy}",
    "socks5://{proxy}",
    "socks5h://{proxy}",
    "socks4://{proxy}",
    "socks://{proxy}",
    "foo://{proxy}",
    " http://{proxy} ",
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def test_https_goes_through_every_form_of_proxy_that_plain_goes_through(
    tmp_path: Path, certificate: str
) -> None:
    with FaultyHost(gzipped(PLAIN_TAR), certificate=certificate) as host:
        place = ("127.0.0.1", host._server.server_port)
        with Tunnel(place) as proxy:
            trust = {"TFHUB_DISABLE_CERT_VALIDATION": "true"}
            cases: list[Case] = [
                (
                    "https://behind.invalid/a",
                    {"https_proxy": form.format(proxy=proxy.place_of_proxy)},
                )
                for form in PROXY_FORMS
            ]
            plain = resolved("plain", tmp_path, cases, **trust)
            asked = list(proxy.asked)
            proxy.asked.clear()
            ours = resolved("ours", tmp_path, cases, **trust)
            for form, theirs, mine in zip(PROXY_FORMS, plain, ours, strict=True):
                if "files" in theirs:
                    assert_alike(theirs, mine, form)
            assert sum("files" in one for one in plain) >= len(PROXY_FORMS) - 2
            assert all("files" in one for one in ours), ours
            assert set(proxy.asked) == set(asked)


def test_http_goes_where_plain_goes(tmp_path: Path) -> None:
    """Each case has a proxy and a host; both see requests, and see the same ones from plain and from ours."""
    with FaultyHost(gzipped(PLAIN_TAR)) as host, FaultyHost(gzipped(PLAIN_TAR)) as proxy:
        at = host.url.partition("//")[2]
        port = at.partition(":")[2]
        by = proxy.url.partition("//")[2]
        dead = "127.0.0.1:9"
        through = {"http_proxy": proxy.url}
        variables = [
            through,
            {"HTTP_PROXY": proxy.url},
            {"http_proxy": by},
            {"http_proxy": f"//{by}"},
            {"http_proxy": f"http://name:password@{by}"},
            {"http_proxy": f"{proxy.url}/path"},
            {"http_proxy": "", "HTTP_PROXY": proxy.url},
            {"http_proxy": ""},
            {"https_proxy": proxy.url},
            {"HTTP_PROXY": proxy.url, "REQUEST_METHOD": "GET"},
            {**through, "no_proxy": "127.0.0.1"},
            {**through, "NO_PROXY": "127.0.0.1"},
            {**through, "no_proxy": at},
            {**through, "no_proxy": f"127.0.0.1:1{port}"},
            {**through, "no_proxy": ".0.0.1"},
            {**through, "no_proxy": "0.0.1"},
            {**through, "no_proxy": ".127.0.0.1"},
            {**through, "no_proxy": "other, 127.0.0.1 ,third"},
            {**through, "no_proxy": "27.0.0.1"},
            {**through, "no_proxy": "*"},
            {**through, "no_proxy": ""},
            {**through, "no_proxy": "", "NO_PROXY": "127.0.0.1"},
            {**through, "no_proxy": "localhost"},
            *(
                {"all_proxy": f"{scheme}://{dead}"}
                for scheme in ("socks4", "socks5", "socks5h", "socks", "foo", "http")
            ),
            {"ALL_PROXY": f"socks5://{dead}"},
            {"ALL_PROXY": dead},
            {"ALL_PROXY": "nonsense://"},
            {"ALL_PROXY": f"socks5://{dead}", **through},
        ]
        cases: list[Case] = [(f"{host.url}/{number}", one) for number, one in enumerate(variables)]
        plain = resolved("plain", tmp_path, cases)
        seen = [[one.path for one in two.seen] for two in (host, proxy)]
        host.seen.clear()
        proxy.seen.clear()
        ours = resolved("ours", tmp_path, cases)
        assert [[one.path for one in two.seen] for two in (host, proxy)] == seen
    assert all("files" in one for one in plain)
    assert ours == plain
    assert all(len(paths) > 5 for paths in seen)
