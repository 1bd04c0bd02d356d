"""The browser's messages and traits, in a real kernel and without a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from browser_caches import CLASSIFY, NOW, add_entry, files_of, fill, saved_model
from browser_front_end import FrontEnd
from browser_host import HaltingHost
from kernel import Kernel
from repository import REPOSITORY

from hub_magic.cache.layout import Holder, lock_text

pytestmark = pytest.mark.kernel

HOST = "https://tfhub.dev/google"
GRAPH = saved_model({"serving_default": CLASSIFY}, ["vocabulary-0.txt"])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    add_entry(
        cache, f"{HOST}/nnlm-en-dim128/2", files_of(9000, graph=GRAPH, assets=1), used=NOW - timedelta(days=1)
    )
    add_entry(cache, f"{HOST}/elmo/3", files_of(5000, graph=GRAPH, assets=1), used=NOW - timedelta(days=3))
    broken = add_entry(
        cache, f"{HOST}/yamnet/1", files_of(1000, graph=GRAPH, assets=1), used=NOW - timedelta(days=9)
    )
    (broken / "variables" / "variables.index").unlink()
    return cache


@pytest.fixture
def kernel(tmp_path: Path, cache: Path) -> Iterator[Kernel]:
    with Kernel(tmp_path / "kernel", TFHUB_CACHE_DIR=str(cache)) as kernel:
        kernel.ok("%load_ext hub_magic")
        yield kernel


@pytest.fixture
def page(kernel: Kernel) -> Iterator[FrontEnd]:
    with FrontEnd(kernel) as page:
        yield page


def test_mime_bundle_has_view_text_and_table(kernel: Kernel):
    cell = kernel.ok("%hub_cache")
    assert {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"} <= cell.data.keys()
    for name in ("nnlm-en-dim128", "elmo", "yamnet"):
        assert name in cell.text
        assert name in cell.html
    assert "damaged: variables/variables.index is missing" in cell.text
    assert "<script" not in cell.html


def test_opened_view_gets_all_rows(page: FrontEnd, cache: Path):
    page.measured()
    assert page.names == ["elmo", "nnlm-en-dim128", "yamnet"]
    row = page.row("elmo")
    assert (row["handle"], row["publisher"], row["version"]) == (f"{HOST}/elmo/3", "google", "3")
    assert (row["kind"], row["state"], row["downloaded"]) == ("SavedModel", "whole", int(NOW.timestamp()))
    assert row["size"] > 5000
    assert row["used"] == int((NOW - timedelta(days=3)).timestamp())
    assert page.row("yamnet")["state"] == "damaged"
    assert page.row("yamnet")["note"] == "variables/variables.index is missing"
    assert page.header["location"] == str(cache)
    assert page.header["mode"] == "compressed"
    assert page.header["disk"] >= page.header["free"] > 0
    # No row carries a path.
    assert str(cache) not in str(page.rows)


def test_reloaded_page_gets_current_rows(page: FrontEnd, cache: Path):
    page.measured()
    shutil.rmtree(next(path for path in cache.iterdir() if path.is_dir()))
    page.act("refresh")
    rows = page.rows
    page.rows = {}
    page.post({"method": "request_state"})
    while not page.rows:
        page.read()
    assert page.rows == rows
    assert len(rows) == 2


def test_page_that_listens_late_gets_missed_rows(page: FrontEnd, kernel: Kernel, cache: Path):
    page.measured()
    shutil.rmtree(next(path for path in cache.iterdir() if path.is_dir()))
    page.act("refresh")
    page.load(page.hello(-1))
    kernel.ok(
        "import threading\n"
        "for thread in threading.enumerate():\n"
        "    if thread.name == 'hub_magic: scan': thread.join()"
    )
    page.ask("select", rows=[])  # all that was sent before has been read
    rows, revision = page.rows, page.revision
    assert (len(rows), revision > 0) == (2, True)
    page.load(page.hello(0))
    assert (page.rows, page.revision) == (rows, revision)
    # One that has missed nothing is told nothing.
    page.send(do="hello", revision=revision)
    page.ask("select", rows=[])
    assert not [event for event in page.events if event.get("event") == "all"]


def test_kernel_resends_state_to_page_that_missed_messages(kernel: Kernel, tmp_path: Path):
    # A cell that runs on keeps the kernel from what the page sends.
    with FrontEnd(kernel) as page:
        done = tmp_path / "done"
        kernel.begin(f"import os, time\nwhile not os.path.exists({str(done)!r}): time.sleep(0.01)")
        data = page.until(lambda message: message.get("event") == "all")["data"]
        done.touch()
        assert data["rows"]["name"] == [page.rows[number]["name"] for number in data["rows"]["id"]]
        assert len(data["rows"]["id"]) == 3


def test_sizes_arrive_as_small_patches(kernel: Kernel, cache: Path):
    fill(cache, 600)
    with FrontEnd(kernel) as page:
        assert len(page.data["rows"]["id"]) == 200
        page.measured()
        assert len(page.rows) == 603
        assert sum(row["size"] for row in page.rows.values()) == kernel.value("browser.scan.size")


def test_selection_is_sent_both_ways(page: FrontEnd, kernel: Kernel):
    page.measured()
    page.ask("select", rows=[page.number("elmo"), page.number("yamnet")])
    assert kernel.value("[model.name for model in browser.selection]") == ["elmo", "yamnet"]
    assert kernel.value("browser.code") == f'hub.load("{HOST}/elmo/3")\nhub.load("{HOST}/yamnet/1")'
    # And the other way.
    kernel.ok("browser.select('nnlm')")
    assert page.until(lambda message: message.get("event") == "selected")["rows"] == [
        page.number("nnlm-en-dim128")
    ]
    kernel.ok("browser.select()")
    assert kernel.value("browser.selection") == ()


def test_unknown_row_numbers_are_refused(page: FrontEnd, kernel: Kernel, cache: Path):
    page.measured()
    folder = next(path for path in cache.iterdir() if path.is_dir())
    for rows in ([999], [0], [-1], [str(folder)], [folder.name], [True], ["1"], [None], "1", None, {"1": 1}):
        assert "no longer in the cache" in page.ask("plan remove", rows=rows)["error"], rows
    page.ask("select", rows=[str(folder), 10**30, 1.0])
    assert kernel.value("browser.selection") == ()
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 3


def test_unknown_request_gets_an_error(page: FrontEnd):
    assert "out of date. Run the cell again" in page.ask("__class__")["error"]
    assert "out of date. Run the cell again" in page.ask("answer")["error"]
    page.post({"method": "custom", "content": "do: remove"})
    page.post({"method": "custom", "content": [1]})
    assert "re" in page.ask("hello")


def test_describe_request_returns_details_without_changing_last_use(page: FrontEnd, cache: Path):
    page.measured()
    before = {path: path.stat().st_atime for path in cache.rglob("*") if path.is_file()}
    found = page.ask("describe", rows=[page.number("elmo")])["details"]
    assert found["code"] == f'hub.load("{HOST}/elmo/3")'
    assert found["link"] == found["handle"] == f"{HOST}/elmo/3"
    assert found["path"].startswith(str(cache))
    assert found["host"] == "lab-3"
    assert found["files"][0] == ["variables/variables.data-00000-of-00001", 5000]
    assert found["signatures"] == [
        {
            "name": "serving_default",
            "inputs": [["inputs", "float32 [?, 224, 224, 3]"]],
            "outputs": [["logits", "float32 [?, 1001]"]],
        }
    ]
    assert found["assets"] == ["vocabulary-0.txt"]
    assert found["tensorflow"] == "2.21.0"
    # Looking is no use.
    assert {path: path.stat().st_atime for path in before} == before


def test_removing_asks_first(page: FrontEnd, kernel: Kernel, cache: Path):
    page.measured()
    rows = [page.number("elmo"), page.number("yamnet")]
    plan = page.ask("plan remove", rows=rows)["plan"]
    assert [name for name, _ in plan["going"]] == [f"{HOST}/elmo/3", f"{HOST}/yamnet/1"]
    assert plan["count"] == 2
    assert plan["size"] == sum(page.rows[number]["size"] for number in rows)
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 3
    job = page.act("carry out", plan=plan["number"])
    assert job["state"] == "done"
    assert job["text"].startswith("Removed 2 models, which freed ")
    assert page.names == ["nnlm-en-dim128"]
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1
    assert kernel.value("[model.name for model in browser.scan.models]") == ["nnlm-en-dim128"]
    # A plan is carried out once, and nobody can make one up.
    assert "The cache has changed" in page.ask("carry out", plan=plan["number"])["error"]
    assert "The cache has changed" in page.ask("carry out", plan=[])["error"]


def test_locked_model_is_kept_in_the_plan(page: FrontEnd, cache: Path):
    page.measured()
    folder = next(path for path in cache.glob("*.descriptor.txt") if "elmo" in path.read_text()).name[:40]
    (cache / f"{folder}.lock").write_text(lock_text(Holder(os.uname().nodename, os.getpid(), "a" * 32)))
    page.act("refresh")
    assert page.row("elmo")["state"] == "locked"
    assert page.row("elmo")["note"] == f"held by process {os.getpid()} on {os.uname().nodename}"
    plan = page.ask("plan remove", rows=[page.number("elmo")])["plan"]
    assert plan["count"] == 0
    assert plan["kept"][0][0] == f"{HOST}/elmo/3"
    assert f"held by process {os.getpid()}" in plan["kept"][0][1]


@pytest.mark.tensorflow
def test_loaded_model_is_kept_in_the_plan(page: FrontEnd, kernel: Kernel, cache: Path):
    page.measured()
    kernel.ok(f"import tensorflow_hub as hub\npath = hub.resolve('{HOST}/elmo/3')")
    page.act("refresh")
    plan = page.ask("plan remove", rows=[page.number("elmo"), page.number("nnlm-en-dim128")])["plan"]
    assert [name for name, _ in plan["going"]] == [f"{HOST}/nnlm-en-dim128/2"]
    assert plan["kept"] == [[f"{HOST}/elmo/3", "loaded in this kernel"]]
    page.act("carry out", plan=plan["number"])
    assert Path(kernel.value("path")).is_dir()
    assert "elmo" in page.names


def test_prune_request_removes_the_planned_models(page: FrontEnd):
    page.measured()
    assert "is not a size" in page.ask("plan prune", size="much")["error"]
    plan = page.ask("plan prune", size="10 kB")["plan"]
    assert [name for name, _ in plan["going"]] == [f"{HOST}/yamnet/1", f"{HOST}/elmo/3"][::-1]
    page.act("carry out", plan=plan["number"])
    assert page.names == ["nnlm-en-dim128"]


def test_verify_request_marks_damaged_rows(page: FrontEnd, cache: Path):
    page.measured()
    entry = next(path for path in cache.glob("*.descriptor.txt") if "elmo" in path.read_text()).name[:40]
    (cache / entry / "saved_model.pb").write_bytes(GRAPH[:-9])
    job = page.act("verify")
    assert job["text"].startswith("Checked 3 models; 2 are damaged: ")
    assert page.row("elmo")["state"] == "damaged"
    assert "saved_model.pb" in page.row("elmo")["note"]
    (cache / entry / "saved_model.pb").write_bytes(GRAPH)
    assert page.act("verify", rows=[page.number("elmo")])["text"] == "Checked 1 model: no damage found."
    assert page.row("elmo")["state"] == "whole"


def test_job_ends_while_a_cell_runs(page: FrontEnd, kernel: Kernel, tmp_path: Path):
    """A job begun before a cell tells of its end while that cell is still running."""
    page.measured()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    kernel.ok("import threading; go = threading.Event(); browser._acting.acquire()")
    reply = page.ask("refresh")
    # The cell lets the job go, and ends only when the test has heard of the job's end.
    kernel.begin(f"browser._acting.release(); open({str(gate)!r}).read()")
    assert page.end_of(reply["job"])["state"] == "done"
    gate.write_text("end")


def test_partial_download_appears_as_another_problem(page: FrontEnd, cache: Path):
    page.measured()
    assert page.header["troubles"] == 0
    (cache / f"{'0' * 40}.{'1' * 32}.tmp").mkdir()
    (cache / f"{'0' * 40}.{'1' * 32}.tmp" / "half").write_bytes(b"x" * 70)
    page.act("refresh")
    assert page.header["troubles"] == 1
    assert page.header["problems"][0]["kind"] == "unfinished download"
    assert page.header["problems"][0]["size"] == 70


def test_refresh_of_unreadable_cache_fails_with_a_reason(page: FrontEnd, cache: Path):
    page.measured()
    shutil.rmtree(cache)
    cache.write_text("")
    job = page.act("refresh")
    assert job["state"] == "failed"
    assert "cannot be read" in job["text"]


def test_empty_cache_has_no_rows(kernel: Kernel, cache: Path):
    shutil.rmtree(cache)
    with FrontEnd(kernel) as page:
        page.measured()
        assert page.rows == {}
        assert "no models yet" in page.cell.text


def test_two_browsers_have_separate_selections(kernel: Kernel):
    with FrontEnd(kernel) as first, FrontEnd(kernel, "other = %hub_cache\nother") as second:
        assert first.comm != second.comm
        second.measured()
        second.ask("select", rows=[second.number("elmo")])
        assert kernel.value("browser.selection") == ()
        assert kernel.value("len(other.selection)") == 1


def test_loading_the_extension_imports_no_widget(kernel: Kernel):
    assert kernel.value("__import__('sys').modules.get('anywidget')") is None
    kernel.ok("%hub_cache --list")
    assert kernel.value("__import__('sys').modules.get('anywidget')") is None


def test_fetch_job_reports_progress(page: FrontEnd, cache: Path):
    page.measured()
    with HaltingHost(files_of(3000, graph=GRAPH, assets=1)) as host:
        handle = f"{host.url}/google/spice/2"
        reply = page.ask("fetch", handle=f"  {handle} ")
        host.is_halfway.wait()
        job = page.until(lambda message: message.get("job", {}) and message["job"]["done"] > 0)["job"]
        assert (job["subject"], job["unit"], job["total"]) == ("spice", "bytes", len(host.archive))
        assert 0 < job["done"] < job["total"]
        # A page that only now begins to listen knows of it.
        assert [one["number"] for one in page.hello(-1)["jobs"]] == [reply["job"]]
        host.go_on.set()
        end = page.end_of(reply["job"])
    assert (end["state"], end["text"]) == ("done", f"Fetched {handle}.")
    assert "spice" in page.names
    assert page.row("spice")["state"] == "whole"
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 4


def test_cancelled_fetch_job_leaves_no_entry(page: FrontEnd, cache: Path):
    page.measured()
    before = sorted(path.name for path in cache.iterdir())
    with HaltingHost(files_of(3000)) as host:
        reply = page.ask("fetch", handle=f"{host.url}/google/spice/2")
        host.is_halfway.wait()
        page.ask("cancel", job=reply["job"])
        host.go_on.set()
        end = page.end_of(reply["job"])
    assert end["state"] == "cancelled"
    assert page.names == ["elmo", "nnlm-en-dim128", "yamnet"]
    page.act("refresh")
    left = sorted(path.name for path in cache.iterdir())
    assert not [name for name in left if name.endswith(".lock")]
    assert [name for name in left if len(name) == 40] == [name for name in before if len(name) == 40]
    assert "re" in page.ask("cancel", job=reply["job"])
    assert "re" in page.ask("cancel", job="1")


def test_failed_fetch_job_reports_the_reason(page: FrontEnd):
    page.measured()
    assert "is empty" in page.ask("fetch", handle=" ")["error"]
    assert "error" in page.ask("fetch")
    with HaltingHost({}, halts=False) as host:
        host.archive = b"<html>no such model</html>"
        end = page.act("fetch", handle=f"{host.url}/google/spice/2")
    assert end["state"] == "failed"
    assert host.url in end["text"]


def test_repair_request_downloads_the_damaged_model_again(page: FrontEnd, kernel: Kernel, cache: Path):
    page.measured()
    with HaltingHost(files_of(3000, graph=GRAPH, assets=1), halts=False) as host:
        handle = f"{host.url}/google/spice/2"
        page.act("fetch", handle=handle)
        entry = Path(kernel.value("browser.describe('spice').path"))
        (entry / "saved_model.pb").unlink()
        page.act("refresh")
        assert page.row("spice")["note"] == "saved_model.pb is missing"
        number = page.number("spice")
        end = page.act("repair", rows=[number])
        assert end["text"] == "Repaired: 1 model downloaded again."
    assert (entry / "saved_model.pb").read_bytes() == GRAPH
    assert page.row("spice")["state"] == "whole"
    assert page.number("spice") == number


def test_front_end_is_small_and_loads_no_other_file():
    script = (REPOSITORY / "hub_magic" / "static" / "browser.js").read_text()
    assert len(script.encode()) <= 25_000
    for word in (
        "import ",
        "import(",
        "fetch(",
        "XMLHttpRequest",
        "innerHTML",
        "insertAdjacentHTML",
        "eval(",
    ):
        assert word not in script, word
    style = (REPOSITORY / "hub_magic" / "static" / "browser.css").read_text()
    assert "url(" not in style
    assert "@import" not in style
