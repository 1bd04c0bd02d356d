"""Copies and fetches into a bucket, killed at random moments: nobody ever reads half an entry.

A few rounds here, the full number with HUB_MAGIC_STRESS set (`scripts/stress`).
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import gcs_rig
import pytest
from bucket_caches import FILES, content_of, handle_of, make_cache, tree
from fork_server import GOOGLE, start_python
from gcs_stand_in import GcsStandIn
from host_client import FILES as SERVED
from host_client import write_model

from hub_magic import parse_handle, plan_copy, scan_cache
from hub_magic.bucket.lock import LockTimes
from hub_magic.bucket.scan import group_files
from hub_magic.gcs import BucketFile
from hub_magic.host import ModelHost

storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures
ROUNDS = 50 if os.environ.get("HUB_MAGIC_STRESS") else 4
pytestmark = [
    pytest.mark.stress,
    pytest.mark.timeout(120 + 20 * ROUNDS),
]
TEAM = "gs://models/team"
LEFTOVER = re.compile(r"\.lock$|\.(lock|txt|json)\.tmp[0-9a-f]{32}$")

COPY = """
import sys
from hub_magic.store import scan_cache
from hub_magic.care.copy import plan_copy
plan_copy(scan_cache("gs://models/team"), scan_cache(sys.argv[1])).execute()
"""
COPY_BACK = """
import sys
from hub_magic.store import scan_cache
from hub_magic.care.copy import plan_copy
plan_copy(scan_cache(sys.argv[1]), scan_cache("gs://models/team")).execute()
"""
FETCH = """
import sys
from hub_magic.download import fetch
for handle in sys.argv[1:]:
    fetch(handle, location="gs://models/team")
"""


class Watcher:
    """Looks at the bucket after every change of it, as hub_magic and as tensorflow_hub would.

    Attributes:
        wanted: the files that each entry must have once there is any.
        broken: what was seen of an entry that was not whole.
        changes: how many changes there were.
    """

    def __init__(self, gcs: GcsStandIn, wanted: dict[str, dict[str, bytes]]) -> None:
        self.wanted = wanted
        self.broken: list[tuple[str, ...]] = []
        self.changes = 0
        self.limit = sys.maxsize
        self.reached = threading.Event()
        self._gcs = gcs
        self._put = gcs.objects.put
        gcs.objects.put = self.put  # type: ignore[method-assign]

    def put(self, bucket: str, name: str, *arguments, **options):
        found = self._put(bucket, name, *arguments, **options)
        self.changes += 1
        if self.changes >= self.limit:
            self.reached.set()
        self.look()
        return found

    def look(self) -> None:
        """An entry that may be loaded by the rules of hub_magic must have all of its files."""
        stored = dict(self._gcs.objects.bucket("models").objects)
        files = [
            BucketFile(name.removeprefix("team/"), len(one.data), one.generation, metadata=one.metadata)
            for name, one in stored.items()
        ]
        for folder, entry in group_files(files).items():
            if entry.is_whole:
                here = {name: stored[f"team/{folder}/{name}"].data for name in entry.files}
                if here != self.wanted[folder]:
                    self.broken.append((folder, *sorted(here)))

    def half_entries(self) -> list[str]:
        """Entries that tensorflow_hub would take for whole and that are not: there is any file of them."""
        stored = self._gcs.objects.bucket("models").objects
        return [
            folder
            for folder, files in self.wanted.items()
            if 0 < sum(name.startswith(f"team/{folder}/") for name in stored) < len(files)
        ]


def killed_at_random(command: list[str], watcher: Watcher, chance: random.Random, most: int) -> None:
    """Run a process and kill it after a random number of changes, which it may not live to make."""
    watcher.reached.clear()
    watcher.limit = watcher.changes + chance.randint(1, most)
    kill_when(command, lambda: watcher.reached.wait(0.02))
    watcher.limit = sys.maxsize


def kill_when(command: list[str], is_time: Callable[[], bool]) -> None:
    """Run a process, and kill it as soon as it is time, unless it has ended by then."""
    process = start_python("-c", *command, imports=GOOGLE, stderr=subprocess.DEVNULL)
    while process.poll() is None and not is_time():
        pass
    process.kill()
    process.wait()


def test_killed_copies_to_a_bucket_leave_no_partial_entry(gcs: GcsStandIn, tmp_path: Path) -> None:
    count = 12
    make_cache(tmp_path / "here", range(count))
    wanted = {
        parse_handle(handle_of(number)).folder: {name: content_of(number, name) for name in FILES}
        for number in range(count)
    }
    watcher = Watcher(gcs, wanted)
    chance = random.Random(5)
    for _ in range(ROUNDS):
        gcs.objects.bucket("models").objects.clear()
        killed_at_random([COPY, str(tmp_path / "here")], watcher, chance, count * 9)
        gcs.settle()
        assert watcher.half_entries() == []
        plan = plan_copy(scan_cache(TEAM), scan_cache(str(tmp_path / "here")))
        plan.execute(times=LockTimes(beat=0.2, gone=1, pause=0.1))
        assert watcher.broken == []
        found = gcs.objects.bucket("models").objects
        entries = {
            name: one.data for name, one in found.items() if ".lock" not in name and ".tmp/" not in name
        }
        assert entries == {f"team/{name}": data for name, data in tree(tmp_path / "here").items()}


def test_killed_copies_from_a_bucket_leave_no_partial_entry(gcs: GcsStandIn, tmp_path: Path) -> None:
    count = 12
    make_cache(tmp_path / "here", range(count))
    plan_copy(scan_cache(TEAM), scan_cache(str(tmp_path / "here"))).execute()
    here = tree(tmp_path / "here")
    chance = random.Random(7)
    for number in range(ROUNDS):
        back = tmp_path / f"back{number}"
        gcs.reset_counts()
        limit = chance.randint(1, count * 5)
        kill_when([COPY_BACK, str(back)], lambda limit=limit: gcs.asked("get", limit))
        if back.is_dir():
            found = scan_cache(str(back))
            assert not [model.damage for model in found.models if model.damage]
            entries = {model.folder for model in found.models}
            files = {name: data for name, data in tree(back).items() if name.partition("/")[0] in entries}
            assert files.items() <= here.items()
            assert len(files) == len(entries) * len(FILES)
        done = plan_copy(scan_cache(str(back)), scan_cache(TEAM)).execute()
        assert done.kept == ()
        # What may be left: a small file that was never finished, as its name says, and a lock beside an entry
        # that is whole, which the next load takes away.
        assert {name: data for name, data in tree(back).items() if not LEFTOVER.search(name)} == here


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ModelHost]:
    write_model(tmp_path / "served" / "team" / "model" / "1")
    with ModelHost(tmp_path / "served") as started:
        yield started


def test_killed_fetches_into_a_bucket_leave_no_partial_entry(gcs: GcsStandIn, host: ModelHost) -> None:
    handle = f"{host.url}/team/model/1"
    folder = parse_handle(handle).folder
    watcher = Watcher(gcs, {folder: SERVED})
    chance = random.Random(6)
    from hub_magic import fetch

    for _ in range(ROUNDS):
        gcs.objects.bucket("models").objects.clear()
        killed_at_random([FETCH, handle], watcher, chance, 2 * len(SERVED) + 3)
        gcs.settle()
        assert watcher.half_entries() == []
        fetch(handle, location=TEAM)
        assert watcher.broken == []
        found = gcs.objects.bucket("models").objects
        assert {name: found[f"team/{folder}/{name}"].data for name in SERVED} == SERVED
