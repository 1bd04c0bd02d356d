"""The relay, against workers that cannot see this machine's models."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tf_models import KINDS
from worker_rig import Cluster, run_client

from hub_magic.errors import RouteError
from hub_magic.loading.model_files import find_model_files
from hub_magic.loading.relay import plan_relay, relay

WORKER = "/job:worker/replica:0/task:0/device:CPU:0"

# What each client below begins with.
PRELUDE = """
from hub_magic.pkg_resources_stand_in import pkg_resources_stand_in
with pkg_resources_stand_in():
    import tensorflow_hub as hub
import tf_models
from hub_magic.errors import HubMagicError
from hub_magic.loading.relay import plan_relay, relay, worker_tasks

MODELS = Path(os.environ["MODELS"])
WORKER, HERE = "/job:worker/replica:0/task:0/device:CPU:0", "/job:localhost/replica:0/task:0/device:CPU:0"
LOCALHOST = tf.saved_model.LoadOptions(experimental_io_device="/job:localhost")

def on_worker(kind, directory, options=None, device=WORKER):
    try:
        with tf.device(device):
            result = tf_models.load(kind, directory, options)()
        return {"device": result.device, "numbers": result.numpy().tolist()}
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}

def here(kind):
    with tf.device(HERE):
        return tf_models.load(kind, MODELS / kind)().numpy().tolist()

def send(directory, *, localhost=False, **keywords):
    report = relay(plan_relay(directory, has_variables_by_localhost=localhost), worker_tasks(), **keywords)
    return report.to_data()
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """One model of each kind."""
    root = tmp_path_factory.mktemp("models")
    run_client(PRELUDE + "tf_models.make_models(MODELS); report(None)", None, MODELS=str(root))
    return root


def needs_rig(test):
    return pytest.mark.tensorflow(pytest.mark.worker(test))


def ask(code: str, cluster: Cluster, models: Path, **environment: str):
    return run_client(PRELUDE + textwrap.dedent(code), cluster, MODELS=str(models), **environment)


# ---------------------------------------------------------------- without the relay


@pytest.fixture(scope="module")
def unaided(models) -> dict[str, dict[str, dict]]:
    """What each kind of model does on a worker that cannot see it, as it is and with the manual's option.

    Ops are waited for: else TensorFlow reports a failed one at a later op, under another name, or never.
    """
    with Cluster(models) as cluster:
        return ask(
            """
            report({
                kind: {
                    "here": here(kind),
                    "nothing": on_worker(kind, MODELS / kind),
                    "localhost": on_worker(kind, MODELS / kind, LOCALHOST),
                }
                for kind in tf_models.KINDS
            })
            """,
            cluster,
            models,
            TF_ENABLE_EAGER_CLIENT_STREAMING_ENQUEUE="false",
        )


@needs_rig
@pytest.mark.parametrize("kind", KINDS)
def test_without_help_no_model_loads_on_a_worker_that_cannot_see_it(kind, unaided, models) -> None:
    answer = unaided[kind]["nothing"]
    is_tf2 = find_model_files(models / kind).is_tf2
    assert answer["error"] == ("FileNotFoundError" if is_tf2 else "NotFoundError")
    assert f"Failed to find any matching files for {models / kind}/variables/variables" in answer["text"]


@needs_rig
@pytest.mark.parametrize("kind", KINDS)
def test_the_manuals_option_helps_tf2_models_without_assets_only(kind, unaided, models) -> None:
    answer = unaided[kind]["localhost"]
    model = find_model_files(models / kind)
    if not model.needs_more_than_localhost:
        assert answer == {"device": WORKER, "numbers": unaided[kind]["here"]}
        return
    assert answer["error"] in {"FileNotFoundError", "NotFoundError"}
    missing = "assets/vocab.txt; No such file" if model.is_tf2 else "variables/variables"
    assert f"{models / kind}/{missing}" in answer["text"]


@pytest.mark.tensorflow
def test_what_the_option_leaves_to_the_worker_is_told(models) -> None:
    told = {kind: find_model_files(models / kind).needs_more_than_localhost for kind in KINDS}
    vocabulary = "the worker reads its file assets/vocab.txt itself"
    tf1 = "it is in TF1 format, of which the worker reads every file itself"
    assert told == {
        "tf2_plain": "",
        "tf2_vocabulary": vocabulary,
        "tf2_sharded": "",
        "tf1_hub": tf1,
        "tf1_hub_plain": tf1,
        "tf2_reusable": "",
        "keras_with_layer": vocabulary,
    }


# ---------------------------------------------------------------- with it


@pytest.fixture(scope="module")
def aided(models) -> dict[str, dict[str, dict]]:
    """The same with the relay: with variables sent, and with variables read by the notebook's process."""
    answers = {}
    for name, localhost in (("sent", False), ("localhost", True)):
        with Cluster(models) as cluster:
            answers[name] = ask(
                f"""
                answers = {{}}
                for kind in tf_models.KINDS:
                    directory = MODELS / kind
                    sent = send(directory, localhost={localhost})
                    options = LOCALHOST if {localhost} and not kind.startswith("tf1") else None
                    answers[kind] = {{
                        "sent": sent,
                        "worker": on_worker(kind, sent["directory_to_load"], options),
                        "again": send(directory, localhost={localhost}),
                        "here": here(kind),
                    }}
                report(answers)
                """,
                cluster,
                models,
            )
    return answers


@needs_rig
@pytest.mark.parametrize("variables", ["sent", "localhost"])
@pytest.mark.parametrize("kind", KINDS)
def test_with_the_relay_every_model_runs_on_the_worker(kind, variables, aided, models) -> None:
    answer = aided[variables][kind]
    assert answer["worker"] == {"device": WORKER, "numbers": answer["here"]}
    plan = plan_relay(models / kind, has_variables_by_localhost=variables == "localhost")
    assert answer["sent"] == answer["again"] | {
        "files": len(plan.files),
        "bytes_sent": plan.size,
        "seconds": answer["sent"]["seconds"],
    }
    assert (answer["again"]["files"], answer["again"]["bytes_sent"]) == (0, 0)
    assert answer["sent"]["via"] == "disk"
    assert answer["sent"]["directory_to_load"] == str(models / kind)
    assert (answer["sent"]["memory_here"], answer["sent"]["memory_there"]) == (0, 0)


@needs_rig
def test_a_worker_without_a_disk_keeps_the_files_in_memory(models) -> None:
    with Cluster(models, mount="ro") as cluster:
        answers = ask(
            """
            answers = {}
            for kind in ("tf2_vocabulary", "tf1_hub", "keras_with_layer"):
                localhost = kind != "tf1_hub"
                sent = send(MODELS / kind, localhost=localhost)
                directory = sent["directory_to_load"]
                options = LOCALHOST if localhost else None
                answers[kind] = {
                    "sent": sent,
                    "again": send(MODELS / kind, localhost=localhost),
                    "worker": on_worker(kind, directory, options),
                    "here": here(kind),
                    "files here": sum(len(files) for _, _, files in tf.io.gfile.walk(directory)),
                }
            report(answers)
            """,
            cluster,
            models,
        )
    for kind, answer in answers.items():
        plan = plan_relay(models / kind, has_variables_by_localhost=kind != "tf1_hub")
        assert answer["worker"] == {"device": WORKER, "numbers": answer["here"]}
        assert answer["sent"]["via"] == "ram"
        assert answer["sent"]["directory_to_load"].startswith("ram://hub_magic/")
        assert answer["sent"]["memory_there"] == answer["sent"]["bytes_sent"] == plan.size
        assert answer["sent"]["memory_here"] == sum(file.size for file in plan.read_here)
        assert answer["files here"] == len(plan.read_here)
        assert (answer["again"]["bytes_sent"], answer["again"]["via"]) == (0, "ram")


@needs_rig
def test_memory_never_holds_half_a_model_or_an_old_one(files) -> None:
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
    told = f"{path} cannot be read: No such file or directory. Look for damage with %hub_cache --verify."
    assert broken_off == ["RouteError", told]
    assert steps == [["ram", 5], ["ram", 0], ["ram", 5], ["ram", 0]]
    assert whole == [dict.fromkeys(same, True) for same in whole]


@needs_rig
def test_every_worker_of_a_cluster_gets_the_files(models) -> None:
    with Cluster(models, tasks=2) as cluster:
        answer = ask(
            """
            second = WORKER.replace("task:0", "task:1")
            sent = send(MODELS / "tf1_hub")
            report({
                "tasks": worker_tasks(),
                "sent": sent,
                "again": send(MODELS / "tf1_hub"),
                "here": here("tf1_hub"),
                "first": on_worker("tf1_hub", MODELS / "tf1_hub"),
                "second": on_worker("tf1_hub", MODELS / "tf1_hub", device=second),
            })
            """,
            cluster,
            models,
        )
    size = plan_relay(models / "tf1_hub", has_variables_by_localhost=False).size
    assert answer["tasks"] == [f"/job:worker/replica:0/task:{task}" for task in range(2)]
    assert (answer["sent"]["files"], answer["sent"]["bytes_sent"]) == (6, 2 * size)
    assert answer["again"]["bytes_sent"] == 0
    assert answer["first"] == {"device": WORKER, "numbers": answer["here"]}
    assert answer["second"] == {"device": WORKER.replace("task:0", "task:1"), "numbers": answer["here"]}


@needs_rig
def test_what_a_worker_shares_with_this_machine_is_not_sent(models, tmp_path) -> None:
    before = sorted(models.rglob("*"))
    with Cluster(tmp_path) as cluster:
        answer = ask("report(send(MODELS / 'tf1_hub'))", cluster, models)
    assert (answer["via"], answer["files"], answer["bytes_sent"]) == ("disk", 0, 0)
    assert sorted(models.rglob("*")) == before


@needs_rig
def test_it_works_where_cells_load_models(models) -> None:
    """Inside a strategy's scope, a device's, and a function that TensorFlow is tracing."""
    with Cluster(models) as cluster:
        answer = ask(
            """
            reports = []
            with tf.device(WORKER), tf.distribute.OneDeviceStrategy(WORKER).scope():
                reports.append(send(MODELS / "tf1_hub"))
                in_scope = on_worker("tf1_hub", MODELS / "tf1_hub")

                @tf.function(autograph=False)  # as TensorFlow calls what its loader calls
                def traced():
                    reports.append(send(MODELS / "tf2_vocabulary"))

                traced()
            report({"sent": [one["files"] for one in reports], "in scope": in_scope, "here": here("tf1_hub")})
            """,
            cluster,
            models,
        )
    assert answer["sent"] == [3, 3]
    assert answer["in scope"] == {"device": WORKER, "numbers": answer["here"]}


# ---------------------------------------------------------------- pieces


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
def test_what_is_lost_or_changed_on_either_side_is_sent_again(files) -> None:
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
def test_more_than_50_mb_show_a_bar(tmp_path) -> None:
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


# ---------------------------------------------------------------- what cannot work


@needs_rig
def test_a_full_disk_is_told_with_the_route_that_works(files) -> None:
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
    assert answer[1].startswith(f"The worker /job:worker/replica:0/task:0 cannot keep {files}/assets/large: ")
    assert "No space left on device" in answer[1]
    assert answer[1].endswith("Take --via bucket --bucket gs://BUCKET/PATH.")
    assert "\n" not in answer[1]
    assert answer[2] == 2


@needs_rig
def test_a_worker_that_is_gone_is_told(files) -> None:
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


def test_without_a_worker_there_is_nothing_to_send_to(files) -> None:
    plan = plan_relay(files, has_variables_by_localhost=False)
    with pytest.raises(RouteError, match=r"There is no remote worker to send to\. Leave --via out"):
        relay(plan, ())


def test_a_directory_without_files_is_told(tmp_path) -> None:
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
def test_the_plan_sends_what_the_worker_reads(graph, localhost, sent, files) -> None:
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
