"""Variables and files of the user: proxies, certificates, netrc."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty_host import Fault

from .situation import Place, Situation, examine, parameters

pytestmark = pytest.mark.tensorflow

# The proxy answers for this host, which no name server knows.
FAR = "http://models.example/team/model/1"
OWN = "the credentials that ~/.netrc holds for the host itself are sent, where plain sends none"

BUNDLE = "REQUESTS_CA_BUNDLE is read, which plain does not know"

PROXIES: dict[str, tuple[str, dict[str, str]]] = {
    "http_proxy": (FAR, {"http_proxy": "{host}"}),
    "HTTP_PROXY": (FAR, {"HTTP_PROXY": "{host}"}),
    "both, the lower alive": (FAR, {"HTTP_PROXY": "http://{dead}", "http_proxy": "{host}"}),
    "both, the lower empty": ("{host}/m/1", {"HTTP_PROXY": "http://{dead}", "http_proxy": ""}),
    "slash at the end": (FAR, {"http_proxy": "{host}/"}),
    "path": (FAR, {"http_proxy": "{host}/some/path"}),
    "no scheme": (FAR, {"http_proxy": "127.0.0.1:{port}"}),
    "credentials": (FAR, {"http_proxy": "http://me:s%40cret@127.0.0.1:{port}"}),
    "name alone": (FAR, {"http_proxy": "http://me@127.0.0.1:{port}"}),
    "dead": (FAR, {"http_proxy": "http://{dead}"}),
    "https for http": (FAR, {"http_proxy": "https://127.0.0.1:{port}"}),
    "socks": ("{host}/m/1", {"http_proxy": "socks5://{dead}"}),
    "empty": ("{host}/m/1", {"http_proxy": ""}),
    "blank": ("{host}/m/1", {"http_proxy": " "}),
    "of https only": ("{host}/m/1", {"https_proxy": "http://{dead}"}),
    "ALL_PROXY": ("{host}/m/1", {"ALL_PROXY": "http://{dead}"}),
    "all_proxy": ("{host}/m/1", {"all_proxy": "http://{dead}"}),
    "ALL_PROXY socks": ("{host}/m/1", {"ALL_PROXY": "socks5://{dead}"}),
    "ALL_PROXY socks by name": ("{host}/m/1", {"all_proxy": "socks5h://{dead}"}),
    "ALL_PROXY socks, cached": ("{host}/m/1", {"ALL_PROXY": "socks5://{dead}"}),
    "ALL_PROXY beside http_proxy": (FAR, {"ALL_PROXY": "socks5://{dead}", "http_proxy": "{host}"}),
    "in a web server": ("{host}/m/1", {"HTTP_PROXY": "http://{dead}", "REQUEST_METHOD": "GET"}),
    "no such scheme": ("{host}/m/1", {"http_proxy": "foo://{dead}"}),
    "of ftp": ("{host}/m/1", {"ftp_proxy": "http://{dead}"}),
}
# With a proxy that is dead, what of NO_PROXY matches 127.0.0.1 or localhost?
NO_PROXY: dict[str, tuple[str, str]] = {
    "address": ("{host}/m/1", "127.0.0.1"),
    "address and port": ("{host}/m/1", "127.0.0.1:{port}"),
    "address and another port": ("{host}/m/1", "127.0.0.1:1"),
    "star": ("{host}/m/1", "*"),
    "star in a list": ("{host}/m/1", "example.com,*"),
    "star of a domain": ("http://localhost:{port}/m/1", "*.localhost"),
    "list": ("{host}/m/1", "example.com,127.0.0.1"),
    "list with blanks": ("{host}/m/1", " example.com , 127.0.0.1 "),
    "list of blanks": ("{host}/m/1", "example.com 127.0.0.1"),
    "end of the address": ("{host}/m/1", "0.0.1"),
    "network": ("{host}/m/1", "127.0.0.0/8"),
    "name": ("http://localhost:{port}/m/1", "localhost"),
    "name with a dot": ("http://localhost:{port}/m/1", ".localhost"),
    "name in capitals": ("http://localhost:{port}/m/1", "LOCALHOST"),
    "host in capitals": ("http://LOCALHOST:{port}/m/1", "localhost"),
    "end of the name": ("http://localhost:{port}/m/1", "host"),
    "another": ("{host}/m/1", "example.com"),
    "empty": ("{host}/m/1", ""),
}
SECURE = "https://localhost:{port}/team/model/1"
AUTHORITY = "{root}/certificates/ca.pem"
CERTIFICATES: dict[str, dict[str, str]] = {
    "unknown": {},
    "not checked": {"TFHUB_DISABLE_CERT_VALIDATION": "true"},
    "not checked, misspelt": {"TFHUB_DISABLE_CERT_VALIDATION": "True"},
    "not checked, bundle": {"TFHUB_DISABLE_CERT_VALIDATION": "true", "REQUESTS_CA_BUNDLE": AUTHORITY},
    "SSL_CERT_FILE": {"SSL_CERT_FILE": AUTHORITY},
    "SSL_CERT_FILE that is not there": {"SSL_CERT_FILE": "{root}/nothing.pem"},
    "REQUESTS_CA_BUNDLE": {"REQUESTS_CA_BUNDLE": AUTHORITY},
    "REQUESTS_CA_BUNDLE that is not there": {
        "SSL_CERT_FILE": AUTHORITY,
        "REQUESTS_CA_BUNDLE": "{root}/nothing.pem",
    },
    "CURL_CA_BUNDLE that is not there": {"SSL_CERT_FILE": AUTHORITY, "CURL_CA_BUNDLE": "{root}/nothing.pem"},
    "REQUESTS_CA_BUNDLE without it": {
        "SSL_CERT_FILE": AUTHORITY,
        "REQUESTS_CA_BUNDLE": "{root}/work/empty.pem",
    },
    "proxy": {"SSL_CERT_FILE": AUTHORITY, "https_proxy": "http://127.0.0.1:{tunnel}"},
    "proxy by https": {"SSL_CERT_FILE": AUTHORITY, "https_proxy": "https://127.0.0.1:{tunnel}"},
    "proxy without scheme": {"SSL_CERT_FILE": AUTHORITY, "https_proxy": "127.0.0.1:{tunnel}"},
    "proxy by ALL_PROXY": {"SSL_CERT_FILE": AUTHORITY, "all_proxy": "socks5://{dead}"},
    "proxy dead": {"SSL_CERT_FILE": AUTHORITY, "https_proxy": "http://{dead}"},
}
NETRC = {
    "default": "default login me password secret\n",
    "default beside another": "machine other.example login a password b\ndefault login me password secret\n",
    "another's": "machine other.example login me password secret\n",
    "own": "machine 127.0.0.1 login me password secret\n",
    "anonymous default": "default login anonymous password user@site\n",
    "broken": "machine\nlogin login nonsense {",
    "empty": "",
    "not text": "\xff\xfe\0",
}
OTHERS: dict[str, dict[str, str]] = {
    "no home": {"HOME": "{root}/nowhere"},
    "home a file": {"HOME": "/dev/null"},
    "no folder for temporary files": {"TMPDIR": "{root}/nowhere"},
    "no bars": {"TQDM_DISABLE": "1"},
    "Kaggle": {"KAGGLE_KERNEL_RUN_TYPE": "Interactive", "KAGGLE_USER_SECRETS_TOKEN": "x"},
    "Colab": {"COLAB_RELEASE_TAG": "release-colab", "COLAB_GPU": "0"},
    "TPU": {"TPU_NAME": "local"},
}
QUICK = {
    "proxy HTTP_PROXY",
    "proxy ALL_PROXY socks",
    "certificate proxy by https",
    "netrc default",
}


def netrc(text: str) -> Callable[[Place], object]:
    def setup(place: Place) -> None:
        path = place.root / "home" / ".netrc"
        path.write_bytes(text.encode("latin-1"))
        path.chmod(0o600)

    return setup


def empty_bundle(place: Place) -> None:
    (place.root / "work" / "empty.pem").write_text("")


def situations() -> Iterator[Situation]:
    def situation(name: str, **options: object) -> Situation:
        return Situation(name, quick=name in QUICK, **options)  # type: ignore[arg-type]

    for name, (handle, variables) in PROXIES.items():
        cached = "plain" if name.endswith("cached") else "no"
        yield situation(f"proxy {name}", handle=handle, environment=variables, cached=cached)
    for name, (handle, text) in NO_PROXY.items():
        variables = {"http_proxy": "http://{dead}", "no_proxy": text}
        why = "a network in NO_PROXY is understood" if name == "network" else ""
        yield situation(f"no proxy for {name}", handle=handle, environment=variables, requests=why)
    for name, variables in CERTIFICATES.items():
        why = BUNDLE if name == "REQUESTS_CA_BUNDLE" else ""
        options = {"handle": SECURE, "certificate": True, "environment": variables, "setup": empty_bundle}
        yield situation(f"certificate {name}", requests=why, **options)
    for name, text in NETRC.items():
        yield situation(f"netrc {name}", setup=netrc(text), differs=OWN if name == "own" else "")
    elsewhere = Fault(status=302, body=b"", headers={"Location": "http://localhost:{port}/archive.tar.gz"})
    for name in ("default", "own"):
        yield situation(
            f"netrc {name}, redirected",
            setup=netrc(NETRC[name]),
            first=(elsewhere,),
            differs=OWN if name == "own" else "",
        )
    yield situation(
        "netrc by NETRC", environment={"NETRC": "{root}/home/.netrc"}, setup=netrc(NETRC["default"])
    )
    for name, variables in OTHERS.items():
        yield situation(f"variables of {name}", environment=variables)


@pytest.mark.parametrize("situation", parameters(situations()))
def test_environment_is_heeded_as_plain_heeds_it(
    situation: Situation, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    examine(situation, tmp_path, record_property)
