"""A situation, run once by plain tensorflow_hub and once with the extension, and the comparison of both.

A file of tests lists its situations and calls `examine`. Where plain loads, the extension must load the same
values; where plain fails, the extension loads or raises an error of plain's class; what plain keeps on disk, the
extension keeps; and the extension asks no host more often. A situation that is to differ says why.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from archives import model_archive
from care_cache import write
from connect_proxy import ConnectProxy
from differential_process import REPORT
from faulty_host import Fault, FaultyHost, Seen
from fork_server import TENSORFLOW, run_python, start_python
from repository import RIGS, open_to_all, process_environment
from saved_models import model_files
from worker_rig import why_unavailable

from hub_magic.cache.layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX
from hub_magic.cache.record import EntryRecord, FileRecord, record_text

from .known_defects import KNOWN_DEFECTS

Files = dict[str, bytes]
GRAPH, INDEX = "saved_model.pb", "variables/variables.index"
DATA, VOCABULARY = "variables/variables.data-00000-of-00001", "assets/vocab.txt"
HANDLE = "{host}/team/model/1"
NOBODY = 65534
# Time-outs that a host ends by itself: urllib has none.
SILENCE = 0.7
UP = Fault()  # a host without faults
# Variables of whoever runs the tests that no process sees, by the ends of their names.
_NETWORK = ("_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "_CA_BUNDLE", "NETRC")
_IMPORTS = (*TENSORFLOW, "tf_keras")


@dataclass(frozen=True)
class Place:
    """The folder of a situation, before it is copied for each of the two processes.

    Attributes:
        root: what the process may see; the working directory is `root/work`, the home `root/home`.
        entry: the model's folder in the cache.
        files: the model's files, as its host has them.
    """

    root: Path
    entry: Path
    files: Files

    @property
    def cache(self) -> Path:
        return self.entry.parent


@dataclass(frozen=True)
class Situation:
    """What both processes meet.

    Attributes:
        name: its place on each axis.
        kind: the model; see `files_of`.
        archive: makes the host's archive from the model's files.
        cached: whether the model is cached: "no", "plain" (by tensorflow_hub), "recorded" (by the extension).
        setup: changes the folder before it is copied.
        fault: what every request meets; None where nothing listens at the address.
        first: what the first requests meet.
        certificate: whether the host is asked over https.
        handle: with `{host}`, `{port}`, `{dead}` (an address where nothing listens) and `{root}`.
        environment: variables, with the same and `{tunnel}` (the port of a proxy for https).
        place: the cache's folder, below the root.
        mount: what is mounted there; see differential_process.
        user: the user of the processes; 0 for whoever runs the tests.
        program: what the processes do; see differential_process.
        limit: seconds after which a process is ended, which is an outcome, too.
        differs: why the extension behaves differently on purpose.
        requests: why the extension sends more requests.
        quick: whether it runs in `scripts/test`.
    """

    name: str
    kind: str = "tf2_vocabulary"
    archive: Callable[[Files], bytes] = model_archive
    cached: str = "no"
    setup: Callable[[Place], object] = lambda _: None
    fault: Fault | None = UP
    first: tuple[Fault, ...] = ()
    certificate: bool = False
    handle: str = HANDLE
    environment: dict[str, str] = field(default_factory=dict)
    place: str = "cache"
    mount: str = ""
    user: int = 0
    program: str = "load"
    limit: float = 60
    differs: str = ""
    requests: str = ""
    quick: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a process reported, and what the host saw.

    Attributes:
        values: what the model answered; None where it was not loaded.
        error: the names of the error's classes, the nearest first.
        said: the error's text.
        trace: where in hub_magic it arose.
        files: kind, and digest or target, by path.
        seen: the requests.
        silences: requests that were left without an answer.
    """

    values: Any
    error: tuple[str, ...]
    said: str
    trace: str
    files: dict[str, tuple[str, str]]
    seen: tuple[Seen, ...]
    silences: int

    @property
    def text(self) -> str:
        return f"{self.error[0]}: {self.said}" if self.error else f"loaded {self.values}"


class _Host(FaultyHost):
    """A host that counts the requests which it leaves without an answer."""

    silences = 0

    def next_fault(self, seen: Seen) -> Fault:
        fault = super().next_fault(seen)
        self.silences += fault.stall_at is not None or bool(fault.hang_up and fault.wait)
        return fault


# ---------------------------------------------------------------- the two runs


@functools.cache
def files_of(kind: str) -> Files:
    """The files of a model: a kind of tf_models, "pbtxt" (its graph as text) or "tflite" (no SavedModel).

    To each SavedModel files are added that other tools write and TensorFlow never opens.
    """
    if kind == "tflite":
        return {"model.tflite": b"\x1c\0\0\0TFL3" + bytes(100), "labels.txt": b"hub\n"}
    if kind == "pbtxt_vocabulary":
        files = dict(files_of("tf2_vocabulary"))
        files["saved_model.pbtxt"] = _as_text(files.pop(GRAPH))
        return files
    more = {} if kind.startswith("tf1") else {"keras_metadata.pb": b"metadata"}
    return {**model_files(kind), **more, "assets.extra/notes.txt": b"trained in May\n"}


def _as_text(graph: bytes) -> bytes:
    code = (
        "import sys; from google.protobuf import text_format\n"
        "from tensorflow.core.protobuf.saved_model_pb2 import SavedModel\n"
        "print(text_format.MessageToString(SavedModel.FromString(bytes.fromhex(input()))))"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with start_python("-c", code, env=process_environment(), **pipes) as process:
        said, _ = process.communicate(graph.hex() + "\n", timeout=60)
    assert process.returncode == 0
    return said.encode()


def run_both(situation: Situation, folder: Path) -> tuple[Outcome, Outcome]:
    """Make the situation in this folder, run both processes in copies of it, and return plain's outcome and ours."""
    with ExitStack() as stack:
        dead = stack.enter_context(socket.socket())
        dead.bind(("127.0.0.1", 0))  # it does not listen
        host: _Host | None = None
        port = dead.getsockname()[1]
        if situation.fault is not None:
            certificate = _certificate(folder) if situation.certificate else ""
            archive = situation.archive(files_of(situation.kind))
            host = _Host(archive, then=situation.fault, certificate=certificate)
            stack.enter_context(host)
            port = int(host.url.rpartition(":")[2])
        names = {
            "host": f"http{'s' * situation.certificate}://127.0.0.1:{port}",
            "port": str(port),
            "dead": f"127.0.0.1:{dead.getsockname()[1]}",
        }
        if "{tunnel}" in str(situation.environment):
            names["tunnel"] = str(stack.enter_context(ConnectProxy(port)).port)
        made = folder / "made"
        handle = situation.handle.format(**names, root="{root}")
        make(situation, handle, made)
        outcomes = []
        for name in ("plain", "ours"):
            subprocess.run(["cp", "-a", str(made), str(folder / name)], check=True)  # links and pipes, too
            if situation.user:
                open_to_all(folder / name)
            outcomes.append(_run(situation, handle, names, folder / name, host))
    return outcomes[0], outcomes[1]


def _certificate(folder: Path) -> str:
    """The host's certificate; that of its authority is `certificates/ca.pem` in the situation's folder."""
    from gcs_stand_in import make_certificates

    (folder / "made" / "certificates").mkdir(parents=True)
    return str(make_certificates(folder / "made" / "certificates", ("localhost",)))


def make(situation: Situation, handle: str, root: Path) -> Place:
    """Write the situation's files below this folder."""
    for name in ("work", "home", "tmp", "elsewhere"):
        (root / name).mkdir(parents=True)
    folder = hashlib.sha1(handle.encode()).hexdigest()  # as tensorflow_hub names it
    place = Place(root, root / situation.place / folder, files_of(situation.kind))
    if situation.cached != "no":
        write(place.entry, place.files)
        text = f"Module: {handle}\nDownload Time: 2026-11-20 12:00:00.000000\nDownloader Hostname: far.example (PID:7)"
        Path(f"{place.entry}{DESCRIPTOR_SUFFIX}").write_text(text)
        if situation.cached == "recorded":
            files = [
                FileRecord(name, len(data), hashlib.sha256(data).hexdigest())
                for name, data in place.files.items()
            ]
            record = record_text(EntryRecord(handle, '"version 1"', text, tuple(files)))
            Path(f"{place.entry}{RECORD_SUFFIX}").write_text(record)
    elif situation.mount:
        place.cache.mkdir(parents=True)
    situation.setup(place)
    return place


def _run(situation: Situation, handle: str, names: dict[str, str], root: Path, host: _Host | None) -> Outcome:
    """Run one of the two processes, in its copy of the situation."""
    request = request_of(situation, handle.format(root=root), root)
    if host:
        host.seen.clear()
        host.faults = [_at(fault, names) for fault in situation.first]
        host.silences = 0
    try:
        done = run_python(
            str(RIGS / "differential_process.py"),
            json.dumps(request),
            imports=_IMPORTS,
            env=_environment(situation, {**names, "root": str(root)}),
            cwd=root / "work",
            timeout=situation.limit,
        )
    except subprocess.TimeoutExpired:
        return Outcome(None, (NEVER_ENDS,), "", "", {}, tuple(host.seen) if host else (), 0)
    assert REPORT in done.stdout, f"{root.name} ended without a report:\n{done.stdout}\n{done.stderr}"
    found = json.loads(done.stdout.rpartition(REPORT)[2])
    files = {
        name.replace(str(root).lstrip("/"), "{root}"): (kind, what.replace(str(root), "{root}"))
        for name, (kind, what) in found["files"].items()
    }
    return Outcome(
        found["values"],
        tuple(found["error"]),
        found["said"].replace(str(root), "{root}"),
        found["trace"],
        files,
        tuple(host.seen) if host else (),
        host.silences if host else 0,
    )


def _at(fault: Fault, names: dict[str, str]) -> Fault:
    """The fault with this host's port in its headers."""
    headers = {name: text.replace("{port}", names["port"]) for name, text in fault.headers.items()}
    return replace(fault, headers=headers)


def request_of(situation: Situation, handle: str, root: Path) -> dict[str, Any]:
    """What the process is told."""
    return {
        "root": str(root),
        "handle": handle,
        "kind": situation.kind,
        "extension": root.name == "ours",
        "program": situation.program,
        "mount": situation.mount,
        "user": situation.user,
    }


def _environment(situation: Situation, names: dict[str, str]) -> dict[str, str]:
    given = process_environment(TF_USE_LEGACY_KERAS="1", PYTHONDONTWRITEBYTECODE="1")
    kept = {name: value for name, value in given.items() if not name.upper().endswith(_NETWORK)}
    usual = {
        "HOME": "{root}/home",
        "IPYTHONDIR": "{root}/home/.ipython",
        "TMPDIR": "{root}/tmp",
        "TFHUB_CACHE_DIR": f"{{root}}/{situation.place}",
    }
    values = {name: value.format(**names) for name, value in {**usual, **situation.environment}.items()}
    return {**kept, **values}


# ---------------------------------------------------------------- the comparison


def differences(situation: Situation, plain: Outcome, ours: Outcome) -> list[str]:
    """In what the extension is worse than plain; a situation's own reasons are left to `examine`."""
    found = []
    if plain.values is not None:
        if ours.values is None:
            found.append(f"plain loads, the extension fails: {ours.text}")
        elif ours.values != plain.values:
            found.append(f"plain's values are {plain.values}, the extension's {ours.values}")
    elif ours.values is None:
        kind = plain.error[0]
        if not {kind, STANDS_FOR.get(kind, kind)} & {*ours.error}:
            found.append(f"plain raises {plain.text}, the extension {ours.text}")
    is_mended = plain.values is None and ours.values is not None
    for name, kept in plain.files.items():
        is_rest = plain.values is None and kept[0] == "folder"  # of a model that plain could not make
        if not is_rest and _is_compared(name, is_mended=is_mended) and ours.files.get(name) != kept:
            found.append(f"plain keeps {name} as {kept}, the extension {ours.files.get(name)}")
    more = {seen.path for seen in ours.seen} - {seen.path for seen in plain.seen}
    if more and plain.seen:
        found.append(f"the extension asks for {sorted(more)}, plain for {[seen.path for seen in plain.seen]}")
    credentials = {seen.credentials for seen in ours.seen} - {seen.credentials for seen in plain.seen}
    if credentials - {("", "")}:
        found.append(f"the extension sends credentials that plain keeps: {credentials}")
    if not situation.requests and not is_mended and asks_more(plain, ours):  # who asks nobody, loads nothing
        sent, waited = (f"{len(one.seen)} requests, {one.silences} unanswered" for one in (ours, plain))
        found.append(f"the extension sends {sent}; plain {waited}")
    return found


def asks_more(plain: Outcome, ours: Outcome) -> bool:
    """Whether the extension sends more requests, or waits for an answer in vain more often."""
    return len(ours.seen) > len(plain.seen) or ours.silences > plain.silences


NEVER_ENDS = "never ends"

# Classes that tell how plain's code came to fail, which no caller catches by name, and what callers do catch.
STANDS_FOR = {
    "RemoteDisconnected": "OSError",  # http.client: the host ended the connection
    "IncompleteRead": "OSError",  # http.client: in the middle of the answer
    "EOFError": "OSError",  # gzip: the archive ends too soon
    "error": "OSError",  # zlib: the archive's bytes are others
    "EmptyHeaderError": "OSError",  # tarfile
    "ReadError": "OSError",  # tarfile
    "InvalidURL": "HubMagicError",  # http.client: of a proxy's address, too
    # TensorFlow's errors about the disk of the cache.
    "FailedPreconditionError": "HubMagicError",
    "NotFoundError": "HubMagicError",
    "PermissionDeniedError": "HubMagicError",
    "ResourceExhaustedError": "HubMagicError",
    NEVER_ENDS: "HubMagicError",
}


_ENTRY = re.compile(r"(^|/)[0-9a-f]{40}(/|$)")


def _is_compared(name: str, *, is_mended: bool) -> bool:
    """Whether a path must be the same: not partial downloads, and what holds times.

    Args:
        name: the path.
        is_mended: whether the extension loads where plain fails, and so may have replaced the cached copy.
    """
    if name.startswith("layers/") or ".tmp" in name or (is_mended and _ENTRY.search(name)):
        return False
    return not name.endswith((DESCRIPTOR_SUFFIX, RECORD_SUFFIX, ".lock"))


def examine(
    situation: Situation, folder: Path, record_property: Callable[[str, object], None]
) -> tuple[Outcome, Outcome]:
    """Run a situation, assert that the extension is no worse than plain, and note the verdict for the table."""
    skip_where_impossible(situation)
    plain, ours = run_both(situation, folder)
    found = differences(situation, plain, ours)
    verdict = "equal"
    if situation.differs:
        verdict = "different on purpose"
        assert found, f"There is no difference any more: plain {plain.text}, ours {ours.text}"
        assert ours.values is not None or "HubMagicError" in ours.error, ours.text
    elif plain.values is None and (ours.values is not None or plain.error == (NEVER_ENDS,)):
        verdict = "better"
    if not situation.differs:
        assert not found, "\n".join([*found, ours.trace])
    why_more = situation.requests if asks_more(plain, ours) else ""
    record_property("differential", [situation.name, verdict, situation.differs, why_more])
    return plain, ours


def skip_where_impossible(situation: Situation) -> None:
    """Skip what this machine cannot set up."""
    if situation.mount and (why := why_unavailable()):
        pytest.skip(why)
    if situation.user and os.geteuid():
        pytest.skip("Only root can become another user.")
    if situation.mount == "dead" and not (Path("/dev/fuse").exists() and not os.geteuid()):
        pytest.skip("A dead mount needs FUSE, and root.")


def parameters(situations: Iterable[Situation]) -> list[Any]:
    """The situations as pytest's parameters, each with its marks."""
    found = []
    for situation in situations:
        marks = [] if situation.quick else [pytest.mark.thorough]
        if situation.name in KNOWN_DEFECTS:
            marks.append(pytest.mark.xfail(strict=True, reason=KNOWN_DEFECTS[situation.name]))
        found.append(pytest.param(situation, id=situation.name, marks=marks))
    names = [one.id for one in found]
    assert len({*names}) == len(names), "Two situations have one name"
    return found
