"""Hosts that answer in every way, and models in every format, with nothing cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from archives import model_archive
from faulty_host import Fault
from gcs_stand_in import GcsStandIn

from .situation import SILENCE, Situation, examine, files_of, parameters

pytestmark = pytest.mark.tensorflow

HTML = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>" * 20
RETRIED = "a host that drops a connection or has an error of its own is asked again"
SIGNED = {"Location": "/signed/archive.tar.gz?signature=a%2Fb"}

FAULTS: dict[str, tuple[Fault | None, str]] = {
    "up": (Fault(), ""),
    "gone": (None, ""),
    "400": (Fault(status=400, body=b"no"), ""),
    "401": (Fault(status=401, body=b"", headers={"WWW-Authenticate": 'Basic realm="models"'}), ""),
    "403": (Fault(status=403, body=b"no"), ""),
    "404": (Fault(status=404, body=b"no"), ""),
    "410": (Fault(status=410, body=b"no"), ""),
    "451": (Fault(status=451, body=b"no"), ""),
    "429": (Fault(status=429, body=b"no"), RETRIED),
    "500": (Fault(status=500, body=b"no"), RETRIED),
    "503": (Fault(status=503, body=b"no"), RETRIED),
    "silent": (Fault(wait=SILENCE, hang_up=True), RETRIED),
    "hangs up": (Fault(hang_up=True), RETRIED),
    "slow first byte": (Fault(wait=1), ""),
    "slow last bytes": (Fault(stall_at=1000, stall_for=SILENCE), RETRIED),
    "ends at 1 kB": (Fault(drop_at=1000), RETRIED),
    "ends before the first byte": (Fault(drop_at=0), RETRIED),
    "HTML": (Fault(body=HTML, headers={"Content-Type": "text/html"}), ""),
    "empty": (Fault(body=b""), ""),
    "204": (Fault(status=204, body=b""), ""),
    "chunked": (Fault(chunked=True), ""),
    "without length": (Fault(headers={"Content-Length": ""}, drop_at=1 << 20), ""),
    "without validators": (Fault(headers={"ETag": "", "Last-Modified": ""}), ""),
    "announces gzip": (Fault(headers={"Content-Encoding": "gzip"}), ""),
    "announces a wrong type": (Fault(headers={"Content-Type": "text/html"}), ""),
    "206 unasked": (Fault(status=206), ""),
}

# What the first request meets; all later ones meet a host that is up.
FIRST: dict[str, tuple[Fault, str]] = {
    **{
        f"redirect {status}": (Fault(status=status, body=b"", headers=SIGNED), "")
        for status in (301, 302, 303, 307, 308)
    },
    "redirect to another name": (
        Fault(status=302, body=b"", headers={"Location": "http://localhost:{port}/archive.tar.gz"}),
        "",
    ),
    "redirect with two slashes": (Fault(status=302, body=b"", headers={"Location": "/a//b/../c"}), ""),
    "redirect with a blank": (Fault(status=302, body=b"", headers={"Location": "/a b/c"}), ""),
    "redirect to a bad address": (Fault(status=302, body=b"", headers={"Location": "http://[bad"}), ""),
    "redirect to a file": (Fault(status=302, body=b"", headers={"Location": "file:///etc/passwd"}), ""),
    "redirect without an address": (Fault(status=302, body=b""), ""),
    "drops once": (Fault(drop_at=1000), RETRIED),
    "503 once": (Fault(status=503, body=b""), RETRIED),
    "300": (Fault(status=300, body=b"", headers=SIGNED), ""),
}

KINDS = (
    "tf2_plain",
    "tf2_vocabulary",
    "tf2_sharded",
    "tf2_reusable",
    "tf1_hub",
    "tf1_hub_plain",
    "pbtxt_vocabulary",
    "tflite",
)
HANDLES = {
    "two slashes": "{host}/team//model/1",
    "a dot": "{host}/team/./model/1",
    "two dots": "{host}/team/x/../model/1",
    "slash at the end": "{host}/team/model/1/",
    "no path": "{host}",
    "archive's name": "{host}/team/model.tar.gz",
    "query": "{host}/team/model?x=1&y=a%2Fb&x=2",
    "query with blanks": "{host}/team/model?x=&y",
    "format in the query": "{host}/team/model/1?tf-hub-format=compressed",
    "percent": "{host}/te%61m/mod%2Fel/%7e1",
    "lower percent": "{host}/team/%c3%a9",
    "bad percent": "{host}/team/100%/1",
    "blank": "{host}/team/my model/1",
    "not ASCII": "{host}/team/modèle/1",
    "fragment": "{host}/team/model/1#part",
    "semicolon": "{host}/team/model;v=1/1",
    "brackets": "{host}/team/[model]/1",
    "pipe": "{host}/team/a|b/1",
    "plus": "{host}/team/a+b/1?c=d+e",
    "name in the address": "http://me:secret@127.0.0.1:{port}/team/model/1",
    "upper scheme": "HTTP://127.0.0.1:{port}/team/model/1",
    "localhost": "http://localhost:{port}/team/model/1",
    "port without a number": "http://127.0.0.1:port/team/model/1",
    "unknown host": "http://nowhere.invalid/team/model/1",
    "no such path": "/nowhere/model",
    "bare name": "google/yamnet/1",
    "empty": "",
    "ftp": "ftp://127.0.0.1:{port}/model",
}
UNASKED = "plain cannot ask for such an address, and the extension can"
DIFFERENT_HANDLES = {
    "not ASCII": ("", UNASKED),
    "name in the address": (
        "the name and the password that stand in an address are sent to its host",
        UNASKED,
    ),
}
QUICK = {
    "host up",
    "host 404",
    "host ends at 1 kB",
    "model tf1_hub",
    "model tflite",
    "handle two slashes",
    "mode offline, cached",
}
UNCOMPRESSED = {"TFHUB_MODEL_LOAD_FORMAT": "UNCOMPRESSED"}
NO_BUCKET: dict[str, Fault | None] = {
    "no such model": Fault(status=404, body=b""),
    "an archive": Fault(),
    "500": Fault(status=500, body=b""),
    "303 to no bucket": Fault(status=303, body=b"https://elsewhere.example/model"),
    "gone": None,
}

BUCKETS = [
    Situation(
        f"mode UNCOMPRESSED, bucket with {folder}",
        environment=UNCOMPRESSED,
        fault=Fault(status=303, body=f"gs://open-models/{folder}".encode()),
    )
    for folder in ("model", "nothing")
]


def situations() -> Iterator[Situation]:
    def situation(name: str, **options: object) -> Situation:
        return Situation(name, quick=name in QUICK, **options)  # type: ignore[arg-type]

    for name, (fault, why) in FAULTS.items():
        yield situation(f"host {name}", fault=fault, requests=why)
    for name, (fault, why) in FIRST.items():
        yield situation(f"first {name}", first=(fault,), requests=why)
    loop = Fault(status=302, body=b"", headers={"Location": "/again"})
    yield situation("host redirects for ever", fault=loop)
    for kind in KINDS:
        yield situation(f"model {kind}", kind=kind)
        yield situation(f"model {kind}, cached", kind=kind, cached="plain", fault=None)
    for name, handle in HANDLES.items():
        differs, requests = DIFFERENT_HANDLES.get(name, ("", ""))
        yield situation(f"handle {name}", handle=handle, differs=differs, requests=requests)
    for mode in ("COMPRESSED", "AUTO", "compressed", "UNPACKED", ""):
        why = "a mode in small letters is understood; plain looks for a folder" if mode.islower() else ""
        variables = {"TFHUB_MODEL_LOAD_FORMAT": mode}
        yield situation(f"mode {mode or 'empty'}", environment=variables, requests=why)
    for name, fault in NO_BUCKET.items():
        yield situation(f"mode UNCOMPRESSED, {name}", environment=UNCOMPRESSED, fault=fault)
    offline = {"HUB_MAGIC_OFFLINE": "1"}
    yield situation("mode offline, cached", environment=offline, cached="recorded")
    yield situation("mode offline, cached by plain", environment=offline, cached="plain")
    yield situation(
        "mode offline, not cached",
        environment=offline,
        differs="offline mode asks no host, and plain has no such mode",
    )
    yield situation("mode progress", environment={"TFHUB_DOWNLOAD_PROGRESS": "1"})
    yield situation("archive of one folder down", archive=lambda files: model_archive(files, root="./model/"))


@pytest.mark.parametrize("situation", parameters(situations()))
def test_host_is_asked_as_plain_asks_it(
    situation: Situation, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _, ours = examine(situation, tmp_path, record_property)
    if "offline" in situation.name:
        assert not ours.seen


@pytest.mark.parametrize("situation", parameters(BUCKETS))
def test_bucket_of_the_host_is_read_as_plain_reads_it(
    situation: Situation, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with GcsStandIn() as storage:
        storage.create_bucket("open-models", public=True)
        for path, data in files_of(situation.kind).items():
            storage.put(f"gs://open-models/model/{path}", data)
        (tmp_path / "storage").mkdir()
        variables = {**situation.environment, **storage.environment(tmp_path / "storage", token="")}
        examine(replace(situation, environment=variables), tmp_path, record_property)
