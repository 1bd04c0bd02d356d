"""The plan: pure, for every runtime."""

from __future__ import annotations

import pytest

from hub_magic import CacheSetting, ModeSetting, Runtime, SettingError, parse_handle, plan_load
from hub_magic.loading import choose_mode
from hub_magic.render.plan import cell_line, plan_html, plan_text
from hub_magic.runtime import Accelerator, TensorFlowBuild, Worker

DIRECTORY = CacheSetting("/home/me/models", "variable", "TFHUB_CACHE_DIR")
BUCKET = CacheSetting("gs://bucket/models", "variable", "TFHUB_CACHE_DIR")
COMPRESSED = ModeSetting("compressed", "default")
OFFLINE = ModeSetting("offline", "variable", "HUB_MAGIC_OFFLINE")
STOCK = TensorFlowBuild("tensorflow", "2.20.0")

LOCAL = Runtime("jupyter", Accelerator(), Worker(), STOCK, ())
GPU = Runtime("colab", Accelerator("gpu", "", 1, visible=True), Worker("local"), STOCK, ("/dev/nvidiactl",))
REMOTE = Runtime(
    "colab",
    Accelerator("tpu"),
    Worker("remote", ("grpc://10.0.0.2:8470",)),
    STOCK,
    ("COLAB_TPU_ADDR=10.0.0.2:8470",),
)
KAGGLE = Runtime(
    "kaggle",
    Accelerator("tpu", "v5e", 8, visible=True),
    Worker("local"),
    TensorFlowBuild("tensorflow-cpu", "2.20.0", remedy="pip install tensorflow-tpu==2.20.0"),
    ("ISTPUVM=1",),
)


def routes(*args, **kwargs) -> list[str]:
    return [one.route for one in plan_load(*args, **kwargs).routes]


@pytest.mark.parametrize("runtime", [LOCAL, GPU, KAGGLE])
@pytest.mark.parametrize("cache", [DIRECTORY, BUCKET])
def test_local_worker_gets_the_local_route(runtime: Runtime, cache: CacheSetting) -> None:
    assert routes(runtime, cache=cache, mode=COMPRESSED) == ["local"]


def test_remote_worker_routes_depend_on_cache_and_mode() -> None:
    assert routes(REMOTE, cache=DIRECTORY, mode=COMPRESSED) == ["uncompressed", "relay", "localhost"]
    assert routes(REMOTE, cache=BUCKET, mode=COMPRESSED) == ["bucket", "uncompressed", "relay", "localhost"]
    assert routes(REMOTE, cache=DIRECTORY, mode=COMPRESSED, bucket="gs://other") == [
        "bucket",
        "uncompressed",
        "relay",
        "localhost",
    ]
    assert routes(REMOTE, cache=DIRECTORY, mode=OFFLINE) == ["relay", "localhost"]


def test_routes_of_one_handle_depend_on_its_kind() -> None:
    path, bucket = parse_handle("/srv/model"), parse_handle("gs://bucket/model")
    assert routes(REMOTE, cache=BUCKET, mode=COMPRESSED, handle=path) == ["relay", "localhost"]
    assert routes(REMOTE, cache=DIRECTORY, mode=COMPRESSED, handle=bucket) == ["bucket"]


def test_chosen_route_and_bucket_override_the_plan() -> None:
    plan = plan_load(REMOTE, cache=BUCKET, mode=COMPRESSED, via="Relay")
    assert (plan.route, plan.forced, len(plan.routes)) == ("relay", True, 1)
    plan = plan_load(REMOTE, cache=BUCKET, mode=COMPRESSED, bucket="gs://mine/models")
    assert plan.cache == "gs://mine/models"


@pytest.mark.parametrize(
    ("runtime", "via", "message"),
    [
        (LOCAL, "relay", "there is no remote worker"),
        (REMOTE, "local", "the worker cannot read this computer's disk"),
        (REMOTE, "bucket", "the cache is not in a bucket. Give one with --bucket"),
        (REMOTE, "pigeon", "There is no route 'pigeon'"),
    ],
)
def test_impossible_route_is_refused(runtime: Runtime, via: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        plan_load(runtime, cache=DIRECTORY, mode=COMPRESSED, via=via)


def test_plan_names_every_route() -> None:
    for runtime in (LOCAL, GPU, REMOTE, KAGGLE):
        for cache in (DIRECTORY, BUCKET):
            plan = plan_load(runtime, cache=cache, mode=COMPRESSED)
            named = [one.route for one in (*plan.routes, *plan.excluded)]
            assert sorted(named) == ["bucket", "local", "localhost", "relay", "uncompressed"]


def test_plan_text_begins_with_a_build_that_cannot_drive_the_tpu() -> None:
    plan = plan_load(KAGGLE, cache=DIRECTORY, mode=COMPRESSED)
    first = plan_text(plan).splitlines()[0]
    assert first == (
        "This computer has a TPU, but tensorflow-cpu 2.20.0 cannot use it. Run: pip install tensorflow-tpu==2.20.0"
    )
    assert "a v5e TPU of 8 chips" in plan_text(plan)


def test_plan_text_names_runtime_routes_and_reasons() -> None:
    plan = plan_load(REMOTE, cache=DIRECTORY, mode=COMPRESSED)
    text = plan_text(plan)
    assert "This is Colab with a TPU; its worker is remote (grpc://10.0.0.2:8470)." in text
    assert "Seen:" not in text
    assert "Better: %hub_cache gs://BUCKET/PATH" in text
    assert "<table" in plan_html(plan)
    assert cell_line(plan).startswith("%%hub_tpu: models load using the route uncompressed: ")
    assert cell_line(plan).endswith("if that fails, relay, localhost.")


@pytest.mark.parametrize(
    ("runtime", "location", "free", "mode", "reason"),
    [
        (LOCAL, "/models", 80_000_000_000, "auto", "80.0 GB free"),
        (LOCAL, "/models", 500_000_000, "uncompressed", "only 500.0 MB free"),
        (REMOTE, "/models", 80_000_000_000, "uncompressed", "grpc://10.0.0.2:8470 cannot read"),
        (REMOTE, "gs://bucket", -1, "auto", "the cache is a bucket"),
    ],
)
def test_auto_mode_fits_the_runtime(
    runtime: Runtime, location: str, free: int, mode: str, reason: str
) -> None:
    chosen, why = choose_mode(runtime, location, free)
    assert chosen == mode
    assert reason in why
