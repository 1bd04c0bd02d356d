"""Google Cloud Storage on this computer, for tests: real clients read and write here, with no network.

TensorFlow's and Google's clients have their addresses compiled in, but respect `https_proxy` and the variables
that name trusted certificates. So the stand-in is a proxy: it answers `CONNECT www.googleapis.com:443` and
similar requests itself, with TLS under a certificate authority made on the fly.

    with GcsStandIn() as gcs:
        gcs.create_bucket("models")
        subprocess.run(command, env={**os.environ, **gcs.environment(tmp_path)})
        assert gcs.requests["list"] == 1
"""

from __future__ import annotations

import datetime as dt
import json
import socketserver
import ssl
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from gcs_answers import Session, answer, kind_of
from gcs_http import Answer, Handler, Request, refusal
from gcs_objects import Bucket, Objects, Stored
from tls import server_context

if TYPE_CHECKING:
    from typing_extensions import Self

HOSTS = (
    "www.googleapis.com",
    "storage.googleapis.com",
    "oauth2.googleapis.com",
    "iamcredentials.googleapis.com",
)
ACCOUNT = "notebook@project.iam.gserviceaccount.com"
TOKEN = "token-of-the-notebook"
NO_TOKEN = ""


@dataclass
class Fault:
    """The fault that the next `times` requests of a kind meet instead of an answer."""

    kind: str
    times: int
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    name: str = ""


class GcsStandIn:
    """The storage; used in a `with`.

    Attributes:
        objects: the stored objects, to read or to change directly.
        requests: HTTP requests by kind ("list", "get", "read", "create", "rewrite", "delete", "patch",
            "compose", "bucket", "layout", "permissions", "batch", "token", "tokeninfo").
        calls: the same, with the parts of batches in place of the batches.
        delay: seconds that every HTTP request waits before it is answered.
        tokens: the account that each bearer token belongs to.
        seen: the accounts of the requests, by kind.
        created: the names of the uploaded objects, in order.
        ranges: the beginnings of the requested ranges of objects, in order.
        last: the part of a batch whose path contains this text is carried out last.
    """

    def __init__(self) -> None:
        self.objects = Objects()
        self.requests: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.delay = 0.0
        self.token = TOKEN
        self.tokens = {TOKEN: ACCOUNT}
        self.seen: dict[str, set[str]] = {}
        self.created: list[str] = []
        self.last = ""
        self.ranges: list[str] = []
        self.sessions: dict[str, Session] = {}
        self.stalled = threading.Event()
        self._released = threading.Event()
        self._denials: dict[tuple[str, str], int] = {}
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._asked = threading.Condition()
        self._answering = 0
        self._names: set[tuple[str, str]] = set()

    # Used by tests.

    def create_bucket(self, name: str, *, public: bool = False) -> None:
        self.objects.buckets[name] = Bucket(name, public)

    def put(self, location: str, data: bytes, **metadata: str) -> Stored:
        """Put an object at `gs://bucket/name` without its clients' knowledge."""
        bucket, _, name = location.removeprefix("gs://").partition("/")
        return self.objects.put(bucket, name, data, metadata=metadata)

    def names(self, bucket: str) -> list[str]:
        return sorted(self.objects.bucket(bucket).objects)

    def deny(self, kind: str, status: int = 403, *, account: str = "") -> None:
        """Refuse a kind of request, to one account or to all, from now on."""
        self._denials[kind, account] = status

    def allow(self) -> None:
        """Refuse nothing from now on."""
        self._denials.clear()

    def denied(self, kind: str, account: str) -> int:
        kind = {"read": "get", "rewrite": "create", "compose": "create"}.get(kind, kind)
        return self._denials.get((kind, account)) or self._denials.get((kind, ""), 0)

    def fail(self, kind: str, *, status: int = 503, times: int = 1, name: str = "") -> None:
        """Answer the next requests of a kind with a status; `name` restricts them to names that contain it."""
        self._faults.append(Fault(kind, times, status, name=name))

    def throttle(self, kind: str, *, times: int = 1, seconds: int = 1) -> None:
        """Answer the next requests of a kind with 429, and ask to wait."""
        self._faults.append(Fault(kind, times, 429, (("Retry-After", str(seconds)),)))

    def stall(self, kind: str, *, name: str = "") -> None:
        """Leave the next request of a kind without an answer until `release`; `stalled` is set then."""
        self.stalled.clear()
        self._released.clear()
        self._faults.append(Fault(kind, 1, name=name))

    def release(self) -> None:
        """Answer the stalled request."""
        self._released.set()

    def wait_for(self, kind: str, name: str, *, seconds: float = 60) -> None:
        """Wait until a client has requested this object in this way."""
        with self._asked:
            assert self._asked.wait_for(lambda: (kind, name) in self._names, seconds), (kind, name)

    def asked(self, kind: str, times: int, *, seconds: float = 0.02) -> bool:
        """Return whether a kind of request reaches this number within a moment."""
        with self._asked:
            return self._asked.wait_for(lambda: self.calls[kind] >= times, seconds)

    def settle(self) -> None:
        """Wait until every request that has arrived is answered; its client may be dead by then."""
        with self._asked:
            assert self._asked.wait_for(lambda: not self._answering, 60)

    def reset_counts(self) -> None:
        with self._lock:
            self.requests.clear()
            self.calls.clear()

    # Used by the handler.

    def answer(self, request: Request) -> Answer:
        """Count an HTTP request, let it wait, and answer it."""
        with self._lock:
            self.requests[kind_of(request)] += 1
        if self.delay:
            time.sleep(self.delay)
        with self._asked:
            self._answering += 1
        try:
            return answer(self, request)
        finally:
            with self._asked:
                self._answering -= 1
                self._asked.notify_all()

    def meet(self, kind: str, parts: dict[str, str], request: Request) -> Answer | None:
        """Count a request, and return the answer of its fault, if any."""
        with self._lock:
            self.calls[kind] += 1
            self.seen.setdefault(kind, set()).add(self.tokens.get(request.token, ""))
            name = parts.get("name", "") + request.query.get("prefix", "") + request.object_name
            fault = next((one for one in self._faults if one.kind == kind and one.name in name), None)
            if fault:
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
        with self._asked:
            self._names.add((kind, name))
            self._asked.notify_all()
        if fault is None:
            return None
        if fault.status:
            return refusal(fault.status, "the stand-in was told to", **dict(fault.headers))
        self.stalled.set()
        self._released.wait(120)
        return None

    # The server itself.

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.certificates = folder / "ca.pem"
        context = server_context(make_certificates(folder))
        inner = type("InnerHandler", (Handler,), {"stand_in": self})
        proxy = type("Proxy", (ProxyHandler,), {"context": context, "inner": inner})
        self._server = Server(("127.0.0.1", 0), proxy)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._folder.cleanup()

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, home: Path, *, token: str | None = None, account: str = ACCOUNT) -> dict[str, str]:
        """Return the variables with which a process uses the stand-in.

        Args:
            home: a directory for the file with the credentials.
            token: TensorFlow's token; the notebook's when None, no credentials at all when "".
            account: the service account of the key in the credentials' file.
        """
        found = {
            "https_proxy": self.proxy,
            "CURL_CA_BUNDLE": str(self.certificates),
            "REQUESTS_CA_BUNDLE": str(self.certificates),
            "SSL_CERT_FILE": str(self.certificates),
            "no_proxy": "127.0.0.1,localhost",
            "NO_GCE_CHECK": "true",
            "GCE_METADATA_HOST": "127.0.0.1:9",
            "CLOUDSDK_CONFIG": str(home / "gcloud"),
            "GOOGLE_CLOUD_PROJECT": "project",
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": TOKEN if token is None else token,
            "GOOGLE_APPLICATION_CREDENTIALS": "",
        }
        if token != NO_TOKEN:
            key = home / "service_account.json"
            key.write_text(json.dumps(_service_account(account)))
            found["GOOGLE_APPLICATION_CREDENTIALS"] = str(key)
        return found


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that break off: tests kill clients. Any other error is a bug here."""
        error = sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1]
        if not isinstance(error, (OSError, ssl.SSLError)):
            traceback.print_exception(error)


class ProxyHandler(BaseHTTPRequestHandler):
    """A proxy that answers CONNECT as the host itself."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    context: ssl.SSLContext
    inner: type[BaseHTTPRequestHandler]
    hosts = HOSTS

    def do_CONNECT(self) -> None:
        if self.path.partition(":")[0] not in self.hosts:
            self.send_error(502, f"The stand-in is not {self.path}")
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self.context.wrap_socket(
            self.connection, server_side=True, do_handshake_on_connect=False
        ) as tunnel:
            tunnel.do_handshake()  # inside, so that a client that is killed meanwhile leaves no open socket
            self.inner(tunnel, self.client_address, self.server)
        self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        pass


def make_certificates(folder: Path, hosts: tuple[str, ...] = HOSTS) -> Path:
    """Write `ca.pem`, and return the file with the hosts' certificate and key."""
    now = dt.datetime.now(dt.timezone.utc)

    def make(subject: str, key, issuer: str, issuer_key, extensions) -> bytes:
        def name(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=2))
        )
        identifiers = (
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
        )
        for extension, critical in (*extensions, *identifiers):
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority_key, host_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    authority = make(
        "hub_magic tests",
        authority_key,
        "hub_magic tests",
        authority_key,
        ((x509.BasicConstraints(ca=True, path_length=0), True), (usage, True)),
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    host = make("stand-in", host_key, "hub_magic tests", authority_key, ((names, False),))
    (folder / "ca.pem").write_bytes(authority)
    pem = folder / "host.pem"
    pem.write_bytes(host + _pem(host_key))
    return pem


_KEYS: dict[str, str] = {}


def _service_account(account: str) -> dict[str, str]:
    """Return a service account's key file; all share one key, because making a key is slow."""
    if not _KEYS:
        _KEYS["key"] = _pem(rsa.generate_private_key(65537, 2048)).decode()
    return {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1",
        "private_key": _KEYS["key"],
        "client_email": account,
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


def _pem(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
