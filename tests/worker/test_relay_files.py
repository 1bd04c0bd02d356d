"""What the relay sends, whatever the files are: in pieces, once, again when it has to, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from relay_client import ask, needs_rig
from worker_rig import Cluster

from hub_magic import RouteError
from hub_magic.loading.relay import plan_relay, relay


@pytest.fixture
def files(tmp_path) -> Path:
    """A directory like a model's, of files whose sizes and bytes are the awkward ones."""
    every_byte = bytes(range(256))
    for name, content in {
        "variables/variables.index": b"",
        "variables/variables.data-00000-of-00002": every_byte * 4,
        "variables/variables.data-00001-of-00002": every_byte * 3 + b"\n",
        "assets/a folder/[v]*?.txt": "ä%s\0\r\n".encode() * 40,
        "assets/one": b"1",
        "saved_model.pb": b"",
    }.items():
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "files"


READ_BACK = """
def read_back(there=MODELS, here=MODELS):
    with tf.device(WORKER):
        return {
            file.name: tf.io.read_file(f"{there}/{file.name}").numpy() == (here / file.name).read_bytes()
            for file in plan_relay(here, has_variables_by_localhost=False).files
        }

def overwrite(name, content):
    with tf.device(WORKER), tf.experimental.async_scope():
        tf.io.write_file(f"{MODELS}/{name}", content)
"""


@needs_rig
def test_pieces_arrive_in_order_whatever_their_size(files) -> None:
    with Cluster(files.parent) as cluster:
        answers = ask(
            READ_BACK
            + """
import shutil
answers = {}
for piece in (1, 64, 256, 10_000):
    directory = MODELS.with_name(f"piece{piece}")
    shutil.copytree(MODELS, directory)
    answers[piece] = (send(directory, piece=piece), read_back(directory, directory))
report(answers)
""",
            cluster,
            files,
        )
    for sent, same in answers.values():
        assert (sent["files"], sent["bytes_sent"]) == (5, 256 * 7 + 1 + 240 + 1 + 40)
        assert same == dict.fromkeys(same, True)


@needs_rig
def test_lost_or_changed_files_are_sent_again(files) -> None:
    with Cluster(files) as cluster:
        answer = ask(
            READ_BACK
            + """
data = "variables/variables.data-00000-of-00002"
steps = {"first": send(MODELS, piece=100)}
overwrite("assets/one", b"22")
steps["another size there"] = send(MODELS, piece=100)
overwrite("assets/one", b"")
steps["empty there"] = send(MODELS, piece=100)
(MODELS / data).write_bytes((MODELS / data).read_bytes()[::-1])
steps["same size, changed here"] = send(MODELS, piece=100)
# As after an interrupt: there is no receipt, and one file stopped short.
overwrite(".hub_magic_relay", b"")
overwrite(data, b"short")
steps["interrupted"] = send(MODELS, piece=100)
steps["last"] = send(MODELS, piece=100)
report(({step: (sent["files"], sent["bytes_sent"]) for step, sent in steps.items()}, read_back()))
""",
            cluster,
            files,
        )
    steps, same = answer
    assert steps == {
        "first": [5, 2074],
        "another size there": [1, 1],
        "empty there": [1, 1],
        "same size, changed here": [1, 1024],
        "interrupted": [1, 1024],
        "last": [0, 0],
    }
    assert same == dict.fromkeys(same, True)


@needs_rig
def test_relay_of_more_than_50_mb_shows_a_bar(tmp_path) -> None:
    directory = tmp_path / "model"
    (directory / "variables").mkdir(parents=True)
    data = directory / "variables" / "variables.data-00000-of-00001"
    with Cluster(directory) as cluster:
        data.write_bytes(os.urandom(60_000_000))
        answer = ask(
            """
            import contextlib, io
            shown = {}
            for progress in (True, False):
                with contextlib.redirect_stderr(io.StringIO()) as stderr:
                    sent = send(MODELS, progress=progress)["bytes_sent"]
                shown[progress] = (sent, stderr.getvalue())
                (MODELS / "variables" / "variables.data-00000-of-00001").touch()
            report(shown)
            """,
            cluster,
            directory,
        )
    sent, shown = answer["true"]
    assert sent == 60_000_000
    assert "Sending the model to the worker: 100%" in shown
    assert answer["false"][1] == ""


@needs_rig
def test_worker_memory_never_has_a_partial_or_old_model(files) -> None:
    """TensorFlow's `ram://` appends to a file that exists."""
    with Cluster(files, mount="ro") as cluster:
        answer = ask(
            READ_BACK
            + """
plan = plan_relay(MODELS, has_variables_by_localhost=False)
last = MODELS / plan.files[-1].name
content = last.read_bytes()
last.unlink()
try:
    relay(plan, worker_tasks(), piece=100)
except HubMagicError as error:
    broken_off = [type(error).__name__, str(error)]
last.write_bytes(content)
os.utime(last, ns=(plan.files[-1].changed,) * 2)
assert plan == plan_relay(MODELS, has_variables_by_localhost=False)
steps = [send(MODELS, piece=100), send(MODELS, piece=100)]
whole = [read_back(steps[0]["directory_to_load"])]
(MODELS / "assets" / "one").write_bytes(b"2")
steps += [send(MODELS, piece=100), send(MODELS, piece=100)]
whole.append(read_back(steps[2]["directory_to_load"]))
report((broken_off, [(sent["via"], sent["files"]) for sent in steps], whole))
""",
            cluster,
            files,
        )
    broken_off, steps, whole = answer
    path = files / "variables" / "variables.index"
    told = f"{path} cannot be read: No such file or directory. Check for damage with %hub_cache --verify."
    assert broken_off == ["RouteError", told]
    assert steps == [["ram", 5], ["ram", 0], ["ram", 5], ["ram", 0]]
    assert whole == [dict.fromkeys(same, True) for same in whole]


# ---------------------------------------------------------------- what cannot work


@needs_rig
def test_full_worker_disk_names_the_route_that_works(files) -> None:
    (files / "assets" / "large").write_bytes(bytes(200_000))
    with Cluster(files, mount="size=64k") as cluster:
        answer = ask(
            """
            try:
                send(MODELS)
            except HubMagicError as error:
                told = [type(error).__mro__[1].__name__, str(error)]
            with tf.device(WORKER):  # nothing of the failure is left for the user's ops
                told.append(int(tf.constant(1) + 1))
            report(told)
            """,
            cluster,
            files,
        )
    assert answer[0] == "RouteError"
    assert answer[1].startswith(
        f"The worker /job:worker/replica:0/task:0 cannot store {files}/assets/large: "
    )
    assert "No space left on device" in answer[1]
    assert answer[1].endswith("Use --via bucket --bucket gs://BUCKET/PATH.")
    assert "\n" not in answer[1]
    assert answer[2] == 2


@needs_rig
def test_worker_that_is_gone_is_reported_in_one_line(files) -> None:
    with Cluster(files) as cluster:
        answer = ask(
            f"""
            import select, signal
            send(MODELS)
            worker = os.pidfd_open({cluster.workers[0].pid})
            signal.pidfd_send_signal(worker, signal.SIGKILL)
            select.select([worker], [], [])  # until it has ended, and its connections with it
            try:
                send(MODELS)
            except HubMagicError as error:
                report([type(error).__name__, str(error)])
            """,
            cluster,
            files,
        )
    assert answer[0] == "RouteError"
    assert answer[1].startswith("A worker does not answer: ")
    assert answer[1].endswith("Restart the runtime, and connect to a worker that runs.")
    assert "\n" not in answer[1]


def test_relay_without_a_worker_is_refused(files) -> None:
    plan = plan_relay(files, has_variables_by_localhost=False)
    with pytest.raises(RouteError, match=r"There is no remote worker to send models to\. Omit --via"):
        relay(plan, ())


def test_relay_of_an_empty_directory_is_refused(tmp_path) -> None:
    for directory in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(RouteError, match=f"{directory} holds no files"):
            plan_relay(directory, has_variables_by_localhost=False)


# ---------------------------------------------------------------- the plan


# A graph (field 2 of saved_model.proto) with and without an object graph (field 7 of meta_graph.proto).
TF2_GRAPH, TF1_GRAPH = b"\x12\x02\x3a\x00", b"\x12\x02\x12\x00"


@pytest.mark.parametrize(
    ("graph", "localhost", "sent"),
    [
        (TF2_GRAPH, True, {"assets"}),
        (TF2_GRAPH, False, {"assets", "variables"}),
        (TF1_GRAPH, True, {"assets", "variables"}),
        (TF2_GRAPH * 2, True, {"assets", "variables"}),
        (b"not a model", True, {"assets", "variables"}),
    ],
    ids=["TF2", "TF2, variables too", "TF1", "several graphs", "unreadable"],
)
def test_relay_plan_has_the_files_that_the_worker_reads(graph, localhost, sent, files) -> None:
    (files / "saved_model.pb").write_bytes(graph)
    plan = plan_relay(files, has_variables_by_localhost=localhost)
    assert {file.name.partition("/")[0] for file in plan.files} == sent
    assert plan.size == sum((files / file.name).stat().st_size for file in plan.files)
    assert plan.directory == str(files)
    here = {file.name.partition("/")[0] for file in plan.read_here}
    assert here == (
        {"assets", "saved_model.pb", "variables"} if graph == TF2_GRAPH else {"assets", "saved_model.pb"}
    )


def test_asking_for_workers_imports_no_tensorflow() -> None:
    code = """
import sys
from hub_magic.loading.relay import worker_tasks
sys.exit(worker_tasks() != () or "tensorflow" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
