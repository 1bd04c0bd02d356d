"""Models of every kind on workers that cannot see this machine's disk: without the relay, and with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from relay_client import WORKER, ask, needs_rig
from saved_models import models_folder, saved_model
from tf_models import KINDS
from worker_rig import Cluster

from hub_magic.loading.model_files import find_model_files
from hub_magic.loading.relay import plan_relay


@pytest.fixture(scope="module")
def models() -> Path:
    """One model of each kind."""
    for kind in KINDS:
        saved_model(kind)
    return models_folder()


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
def test_no_model_loads_unaided_on_a_worker_without_the_disk(kind, unaided, models) -> None:
    answer = unaided[kind]["nothing"]
    is_tf2 = find_model_files(models / kind).is_tf2
    assert answer["error"] == ("FileNotFoundError" if is_tf2 else "NotFoundError")
    assert f"Failed to find any matching files for {models / kind}/variables/variables" in answer["text"]


@needs_rig
@pytest.mark.parametrize("kind", KINDS)
def test_io_device_option_loads_only_tf2_models_without_assets(kind, unaided, models) -> None:
    answer = unaided[kind]["localhost"]
    model = find_model_files(models / kind)
    if not model.needs_more_than_localhost:
        assert answer == {"device": WORKER, "numbers": unaided[kind]["here"]}
        return
    assert answer["error"] in {"FileNotFoundError", "NotFoundError"}
    missing = "assets/vocab.txt; No such file" if model.is_tf2 else "variables/variables"
    assert f"{models / kind}/{missing}" in answer["text"]


@pytest.mark.tensorflow
def test_files_that_the_worker_reads_itself_are_listed(models) -> None:
    told = {kind: find_model_files(models / kind).needs_more_than_localhost for kind in KINDS}
    vocabulary = "the worker reads its file assets/vocab.txt itself"
    tf1 = "it is in TF1 format, and the worker reads all of its files itself"
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
def test_files_on_a_shared_disk_are_not_sent(models, tmp_path) -> None:
    before = sorted(models.rglob("*"))
    with Cluster(tmp_path) as cluster:
        answer = ask("report(send(MODELS / 'tf1_hub'))", cluster, models)
    assert (answer["via"], answer["files"], answer["bytes_sent"]) == ("disk", 0, 0)
    assert sorted(models.rglob("*")) == before


@needs_rig
def test_relay_works_in_scopes_and_traced_functions(models) -> None:
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
