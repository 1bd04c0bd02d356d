"""The magics in a real kernel: settings, the cache as a table, bad input."""

from __future__ import annotations

import json

import pytest
from faulty_host import Fault, FaultyHost
from kernel import Kernel

pytestmark = pytest.mark.kernel


@pytest.fixture
def loaded(kernel: Kernel) -> Kernel:
    """A kernel with the extension loaded."""
    cell = kernel.ok("%load_ext hub_magic")
    assert [m for m in cell.messages if m["msg_type"] not in {"status", "execute_input"}] == []
    return kernel


def test_load_ext_imports_neither_tensorflow_nor_a_widget(loaded: Kernel) -> None:
    found = loaded.value("sorted({name.split('.')[0] for name in __import__('sys').modules})")
    assert "hub_magic" in found
    assert not {"tensorflow", "tensorflow_hub", "anywidget", "ipywidgets", "requests", "google"} & set(found)


def test_mode_magic_sets_and_shows_the_mode(loaded: Kernel) -> None:
    assert loaded.ok("%hub_mode").text.startswith("compressed: ")
    assert "default" in loaded.ok("%hub_mode").text
    cell = loaded.ok("%hub_mode UnCompressed")
    assert cell.text.startswith("uncompressed: ")
    assert "TFHUB_MODEL_LOAD_FORMAT" in cell.html
    assert loaded.value("__import__('os').environ['TFHUB_MODEL_LOAD_FORMAT']") == "UNCOMPRESSED"
    loaded.ok("mode = %hub_mode compressed")
    assert loaded.value("(mode.value, mode.source)") == ("compressed", "variable")


def test_auto_mode_says_its_reason(loaded: Kernel) -> None:
    text = loaded.ok("%hub_mode auto").text
    assert text.startswith("auto: ")
    assert "Chosen because models are read from this computer's disk" in text


@pytest.mark.tensorflow  # which absl comes with
def test_mode_magic_names_flag_and_misspelt_variable(loaded: Kernel) -> None:
    loaded.ok(
        "from absl import flags\n"
        "flags.DEFINE_enum('tfhub_model_load_format', 'AUTO', ['AUTO', 'COMPRESSED', 'UNCOMPRESSED'], '')\n"
        "flags.FLAGS['tfhub_model_load_format'].value = 'UNCOMPRESSED'"
    )
    assert "flag --tfhub_model_load_format" in loaded.ok("%hub_mode").text
    loaded.ok("import os; os.environ['TFHUB_MODEL_LOAD_FORMAT'] = 'UNPACKED'")
    assert "is not a valid mode; tensorflow_hub would treat URLs as file paths" in loaded.ok("%hub_mode").text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("~/models", "{home}/models"),
        ("$PLACE/models", "{place}/models"),
        ("relative/models", "{work}/relative/models"),
        ('"with a blank"', "{work}/with a blank"),
    ],
)
def test_cache_magic_sets_the_location(tmp_path, given: str, expected: str) -> None:
    places = {"home": tmp_path / "home", "place": tmp_path / "place", "work": tmp_path / "k" / "work"}
    with Kernel(tmp_path / "k", HOME=str(places["home"]), PLACE=str(places["place"])) as kernel:
        kernel.ok("%load_ext hub_magic")
        wanted = expected.format(**places)
        assert kernel.ok(f"%hub_cache {given}").text.splitlines()[0] == wanted
        assert kernel.value("__import__('os').environ['TFHUB_CACHE_DIR']") == wanted


def test_cache_default_restores_the_library_location(loaded: Kernel) -> None:
    loaded.ok("%hub_cache ./here")
    first = loaded.ok("%hub_cache default").text.splitlines()[0]
    assert first == str(loaded.home / "tmp" / "tfhub_modules")
    assert loaded.value("__import__('os').environ.get('TFHUB_CACHE_DIR')") is None


def test_list_magic_returns_object_text_table_and_json(loaded: Kernel) -> None:
    loaded.ok("%hub_cache ./here")
    folder = "0f" * 20
    entry = loaded.home / "work" / "here" / folder
    entry.mkdir()
    (entry / "saved_model.pb").write_bytes(b"x" * 1000)
    (entry.parent / f"{folder}.descriptor.txt").write_text(
        "Module: https://tfhub.dev/google/<b>nnlm</b>/2\n"
        "Download Time: 2026-01-02 03:04:05.000006\nDownloader Hostname: far.example (PID:7)"
    )
    cell = loaded.ok("scan = %hub_cache --list\nscan")
    assert "<b>nnlm</b>" in cell.text
    assert "1.0 kB" in cell.text
    assert "<table" in cell.html
    assert "&lt;b&gt;nnlm" in cell.html
    data = json.loads(loaded.value("scan.to_json()"))
    assert data["models"][0] | {"last_used": None, "disk": 0} == {
        "folder": folder,
        "path": str(entry),
        "handle": "https://tfhub.dev/google/<b>nnlm</b>/2",
        "publisher": "google",
        "name": "<b>nnlm</b>",
        "version": "2",
        "kind": "SavedModel",
        "size": 1000,
        "disk": 0,
        "files": 1,
        "downloaded": "2026-01-02T03:04:05.000006",
        "host": "far.example",
        "last_used": None,
        "damage": "",
        "holder": None,
        "folders": [],
        "link": "",
    }
    assert data["size"] == 1000
    assert loaded.ok("%hub_cache").text == cell.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "%hub_mode packed",
            "There is no mode 'packed'. The modes are compressed, uncompressed, auto, offline.",
        ),
        ("%hub_mode compressed really", "unrecognized arguments: really"),
        ("%hub_cache --nonsense", "unrecognized arguments: --nonsense"),
        ("%hub_cache 'open", "Close the quotation mark."),
        ("%hub_cache ./here --list", "location and --list cannot be combined."),
        ("%hub_cache $NOWHERE/models", "uses $NOWHERE, which is not set"),
        ("%hub_cache s3://bucket/path", "A cache cannot be at s3://."),
        ("%hub_cache gs://UPPER/path", "is not a bucket's address"),
        ("%hub_cache file.txt", "file.txt is a file. Choose another directory."),
        ("%hub_cache file.txt/below", "file.txt is a file. Choose another directory."),
        ("%hub_cache /proc/models", "cannot write to /proc"),
        ("%hub_tpu --via pigeon", "There is no route 'pigeon'."),
        ("%hub_tpu --via relay", "--via relay cannot be used: there is no remote worker."),
        ("%%hub_tpu --via bucket\npass", "--via bucket cannot be used: the cache is not in a bucket."),
        ("%%hub_tpu --bucket here\npass", "is not a bucket's address"),
    ],
)
def test_a_users_mistake_is_one_line(loaded: Kernel, line: str, message: str) -> None:
    (loaded.home / "work" / "file.txt").write_text("in the way")
    before = loaded.value("dict(__import__('os').environ)")
    cell = loaded.run(line)
    assert cell.status == "error"
    assert message in cell.error
    assert len(cell.error.strip().splitlines()) == 1
    assert loaded.value("dict(__import__('os').environ)") == before
    assert sorted(path.name for path in (loaded.home / "work").iterdir()) == ["file.txt"]


HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(body=HTML), "returned a web page instead of the model"),
        (Fault(status=403, body=b"<Error><Code>AccessDenied</Code></Error>"), "(403: AccessDenied)"),
        (Fault(status=404, body=b"no such model"), "has no model at"),
        (Fault(body=b"this is no archive at all " * 50), "returned something that is not a tar archive"),
    ],
)
@pytest.mark.parametrize("verb", ["--fetch", "--resolve"])
def test_failed_fetch_magic_is_one_line(loaded: Kernel, fault: Fault, message: str, verb: str) -> None:
    loaded.ok("%hub_cache ./here")
    with FaultyHost(b"", then=fault) as host:
        cell = loaded.run(f"%hub_cache {verb} {host.url}/google/model/1")
    assert cell.status == "error"
    assert message in cell.error
    assert len(cell.error.strip().splitlines()) == 1
    assert list((loaded.home / "work" / "here").iterdir()) == []


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        ('""', "The handle is empty"),
        ("s3://bucket/model", "starts with s3://"),
        ("https:///model", "contains no host"),
        ("http://127.0.0.1:1/google/model/1", "127.0.0.1:1"),
    ],
)
def test_handle_of_a_missing_path_is_one_line(loaded: Kernel, handle: str, message: str) -> None:
    loaded.ok("%hub_cache ./here")
    cell = loaded.run(f"%hub_cache --resolve {handle}")
    assert cell.status == "error"
    assert message in cell.error
    assert len(cell.error.strip().splitlines()) == 1
    assert list((loaded.home / "work" / "here").iterdir()) == []


def test_our_own_mistake_keeps_its_traceback(loaded: Kernel) -> None:
    loaded.ok("import hub_magic.commands.verbs as verbs; verbs.list_models = lambda **_: 1 / 0")
    cell = loaded.run("%hub_cache --list")
    assert cell.errors[0]["ename"] == "ZeroDivisionError"
    assert "verbs.py" in cell.error


def test_magic_help_hides_internal_options(loaded: Kernel) -> None:
    for name in ("%hub_mode", "%hub_cache", "%hub_tpu", "%%hub_tpu"):
        reply = loaded.client.execute(f"{name}?", reply=True, timeout=60)
        (page,) = reply["content"]["payload"]
        assert "hub_" in page["data"]["text/plain"]
        assert "--cell" not in page["data"]["text/plain"].split("Source:")[0].split("File:")[0]
