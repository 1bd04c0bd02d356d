"""The surroundings in which the manual's pages are run: a host with models, a bucket, a remote worker."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from browser_caches import CLASSIFY, files_of
from browser_caches import saved_model as graph_of
from gcs_stand_in import GcsStandIn
from host_client import write_model
from kernel import Kernel
from repository import REPOSITORY
from saved_models import saved_model
from worker_rig import Cluster

from hub_magic.host import ModelHost

HOST = "127.0.0.1:8000"
HOME = "/home/you"

# Handles and bytes of variables. The models look like SavedModels, and are quickly made.
LOOKALIKES = {"team/words/1": 2_400_000, "team/words/2": 2_600_000, "team/images/1": 14_200_000}
GRAPH = graph_of({"serving_default": CLASSIFY}, ["vocabulary-0.txt"])


@dataclass(frozen=True)
class Stage:
    """The surroundings of a page.

    Attributes:
        kernel: runs its notebook sessions.
        names: the real names here, with the names on the page.
    """

    kernel: Kernel
    names: Mapping[str, str]


def make_lookalikes(folder: Path) -> Path:
    """Write models that only look like models."""
    for handle, size in LOOKALIKES.items():
        write_model(folder / handle, files_of(size, graph=GRAPH, assets=1))
    return folder


def make_real(folder: Path) -> Path:
    """Write small models that TensorFlow loads, beside the others: without assets, and with a vocabulary."""
    make_lookalikes(folder / "looks")
    shutil.copytree(saved_model("tf2_plain"), folder / "real" / "numbers" / "1")
    shutil.copytree(saved_model("tf2_vocabulary"), folder / "real" / "words" / "1")
    return folder


@contextmanager
def stage(tmp: Path, models: Path, **env: str) -> Iterator[Stage]:
    """Yield a kernel with its own home, beside a host of these models."""
    home = tmp / "you"
    home.mkdir(exist_ok=True)
    with (
        ModelHost(models) as host,
        Kernel(tmp / "kernel", **{"HOME": str(home), "no_proxy": "127.0.0.1,localhost", **env}) as kernel,
    ):
        names = {
            host.url.removeprefix("http://"): HOST,
            str(home): HOME,
            str(tmp / "content"): "/content",
            os.uname().nodename: "laptop",
        }
        yield Stage(kernel, names)


@contextmanager
def bucket_stage(tmp: Path, models: Path) -> Iterator[Stage]:
    """Yield a stage with a stand-in for Google Cloud Storage that has an empty bucket `models`."""
    with GcsStandIn() as storage:
        storage.create_bucket("models")
        with stage(tmp, models, **storage.environment(tmp)) as found:
            yield found


@contextmanager
def worker_stage(tmp: Path, models: Path) -> Iterator[Stage]:
    """Yield a stage with a worker that does not see the cache."""
    cache = tmp / "you" / "cache"
    cache.mkdir(parents=True)
    with Cluster(hidden=cache) as cluster, stage(tmp, models, TFHUB_CACHE_DIR=str(cache)) as found:
        yield Stage(found.kernel, {cluster.addresses[0]: "10.0.0.2:8470", **found.names})


@dataclass(frozen=True)
class Shell:
    """The shell for a page's commands.

    Attributes:
        folder: the working directory.
        env: the variables.
        names: the real names here, with the names on the page.
    """

    folder: Path
    env: Mapping[str, str]
    names: Mapping[str, str]


@contextmanager
def shell(tmp: Path, models: Path) -> Iterator[Shell]:
    """Yield a shell that finds `hub-magic`, beside a host of these models."""
    home, programs = tmp / "you", tmp / "bin"
    home.mkdir(exist_ok=True)
    programs.mkdir()
    # The script that the wheel installs under that name, for this working tree.
    program = programs / "hub-magic"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m hub_magic "$@"\n')
    program.chmod(0o755)
    with ModelHost(models) as host:
        names = {
            host.url.removeprefix("http://"): HOST,
            str(home): HOME,
            os.uname().nodename: "laptop",
        }
        env = {
            **os.environ,
            "HOME": str(home),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "TFHUB_CACHE_DIR": str(home / ".cache" / "tfhub_modules"),
            "no_proxy": "127.0.0.1,localhost",
        }
        yield Shell(home, env, names)
