"""Random trouble for caches, in rounds: a few here, the full number with HUB_MAGIC_STRESS (`scripts/stress`)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from archives import model_archive
from care_cache import NOBODY, WHOLE, lock, plant, tree
from faulty_host import FaultyHost
from fork_server import GOOGLE, PIPE, ForkedProcess, start_python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository import process_environment
from saved_models import model_files
from test_care_savedmodel import model

from hub_magic import HubMagicError, plan_move, plan_prune, plan_removal, plan_repair, scan_cache, verify
from hub_magic.cache.layout import read_name
from hub_magic.cache.selection import find_duplicates

pytestmark = [pytest.mark.stress, pytest.mark.timeout(7200)]

IS_FULL = bool(os.environ.get("HUB_MAGIC_STRESS"))
SEED = random.SystemRandom().randrange(1 << 32)
FILES = {"saved_model.pb": model(objects=False), "assets/vocab.txt": b"hub"}


# No path outside recognised entries changes

HEX = "0123456789abcdef"
FOLDERS = st.sampled_from([f"{letter * 2}" * 20 for letter in "abc"])
NAMES = st.one_of(
    FOLDERS,
    FOLDERS.map(str.upper),
    st.builds(
        "{}{}".format,
        FOLDERS,
        st.sampled_from([".bak", ".lock", ".lock.old", ".descriptor.txt", ".files.json", ".tmp"]),
    ),
    st.builds("{}.{}.tmp".format, FOLDERS, st.sampled_from(["cd" * 16, "CD" * 16, "cd" * 15])),
    st.sampled_from(
        [".ssh", "photos", "ünïcode", "a b", "-rf", "*", "..", "models", "x" * 200, "\n", ".DS_Store"]
    ),
)
CONTENTS = st.sampled_from(
    ["file", "folder", "cache", "model", "damaged", "piped", "link out", "link in", "link nowhere", "pipe"]
)
PLANTS = st.lists(st.tuples(NAMES, CONTENTS), max_size=12)
ACTS = st.lists(
    st.sampled_from(["prune", "old", "twice", "newest", "remove", "verify", "repair", "move"]), max_size=4
)


@settings(max_examples=2000 if IS_FULL else 60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLANTS, st.lists(st.sampled_from("pqr"), max_size=4), ACTS)
def test_random_care_changes_only_planned_entries(
    plants: list[tuple[str, str]], entries: list[str], acts: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        cache = root / "cache"
        cache.mkdir()
        (root / "outside").mkdir()
        plant(root / "outside", "https://tfhub.dev/p/outside/1")
        for name in entries:
            plant(cache, f"https://tfhub.dev/p/{name}/1", used=ord(name) % 40)
        for name, content in plants:
            fill(cache / name, content, root)
        before = {path: what for path, what in tree(root).items() if not is_ours(cache, Path(path))}
        for act in acts:
            do(act, str(cache), str(root / "target"))
        after = tree(root)
        assert {path: after.get(path) for path in before} == before
        others = {p for p in after if p not in before and not is_ours(cache, Path(p))}
        assert {Path(path).relative_to(root).parts[0] for path in others} <= {"target"}


def fill(path: Path, content: str, root: Path) -> None:
    """Make something of that name, unless there is something or it would lie elsewhere."""
    if path.name in {"", ".."} or os.path.lexists(path):
        return
    if content == "file":
        path.write_text("Module: https://x/y/1\nDownload Time: x\nDownloader Hostname: h (PID:1)")
    elif content == "pipe":
        os.mkfifo(path)
    elif content.startswith("link"):
        path.symlink_to(
            {"link out": root / "outside", "link in": path.parent, "link nowhere": "gone"}[content]
        )
    else:
        path.mkdir()
        if content == "cache":
            plant(path, "https://tfhub.dev/p/nested/1")
        elif content in {"model", "damaged", "piped"}:
            for name, data in WHOLE.items():
                (path / name).parent.mkdir(exist_ok=True)
                (path / name).write_bytes(b"" if content == "damaged" else data)
            (path / "link").symlink_to(root / "outside")
        if content == "piped":
            os.mkfifo(path / "pipe")
            (path / "saved_model.pb").unlink()
            os.mkfifo(path / "saved_model.pb")


def is_ours(cache: Path, path: Path) -> bool:
    """Whether the path is an entry of the cache, something beside one, or in one; links and impostors are not."""
    if not path.is_relative_to(cache) or path == cache:
        return False
    top = cache / path.relative_to(cache).parts[0]
    part = read_name(top.name)
    if part is None or top.is_symlink():
        return False
    is_folder = part.role.value in {"entry", "download"}
    return not top.exists() or (top.is_dir() if is_folder else top.is_file())


def do(act: str, cache: str, target: str) -> None:
    scan = scan_cache(cache)
    try:
        if act == "prune":
            plan_prune(scan, max_size=0).execute()
        elif act == "old":
            plan_prune(scan, older_than=timedelta(days=1)).execute()
        elif act == "twice":
            plan_prune(scan, duplicates=find_duplicates(scan)).execute()
        elif act == "newest":
            plan_prune(scan, keep_newest=1).execute()
        elif act == "remove":
            plan_removal([model.folder for model in scan.models], scan).execute()
        elif act == "verify":
            verify(scan, deep=False)
        elif act == "repair":
            plan = plan_repair(verify(scan))
            assert all(one.model.handle.startswith("https://") for one in plan.fetching)
            if not plan.fetching:
                plan.execute()
        else:
            Path(target).mkdir(exist_ok=True)
            plan_move(scan_cache(target), scan, same_disk=True).execute()
    except HubMagicError:
        pass


# Killed in the middle

REMOVE = """
from hub_magic import scan_cache; from hub_magic.care.remove import plan_removal
plan = plan_removal([m.folder for m in scan_cache(cache).models if "/go/" in m.handle], scan_cache(cache))
ready(); plan.execute()
"""
PRUNE = """
from hub_magic import scan_cache; from hub_magic.care.prune import plan_prune
scan = scan_cache(cache)
plan = plan_prune(scan, max_size=0, keep=["stay/"])
ready(); plan.execute()
"""
ADD = """
from hub_magic.care.add import add
import hub_magic.store
ready()
for number in range(40): add(f"https://tfhub.dev/new/{number}/1", source, location=cache)
"""
REPAIR = """
from hub_magic import list_cache; from hub_magic.store import verify
from hub_magic.care.repair import plan_repair
import hub_magic.download.transfer, requests
plan = plan_repair(verify(list_cache(cache), deep=True))
ready(); plan.execute()
"""
HEAD = """
import sys
cache, source = sys.argv[1:]
def ready(): print("ready", flush=True)
"""


@pytest.mark.parametrize(
    ("code", "longest"),
    [(REMOVE, 0.06), (PRUNE, 0.06), (ADD, 0.15), (REPAIR, 0.5)],
    ids=["remove", "prune", "add", "repair"],
)
def test_killed_care_leaves_every_entry_intact_or_gone(
    tmp_path: Path, tell: Callable[[str], None], code: str, longest: float
) -> None:
    rounds = 100 if IS_FULL else 4
    numbers = random.Random(SEED)
    found: Counter[str] = Counter()
    source = tmp_path / "source"
    for name, data in {**FILES, "weights": bytes(200_000)}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    with FaultyHost(model_archive(FILES)) as host:
        for number in range(rounds):
            cache = tmp_path / str(number)
            staying = set_up(cache, host.url, damaged=code is REPAIR)
            with start_python(
                "-c", HEAD + code, str(cache), str(source), imports=GOOGLE, stdout=PIPE
            ) as running:
                assert running.stdout is not None
                assert running.stdout.readline() == "ready\n"
                time.sleep(numbers.uniform(0, longest))
                running.send_signal(signal.SIGKILL)
                running.wait()
            found["in the middle" if running.returncode else "after the end"] += 1
            scan = scan_cache(str(cache))
            whole = {one.model.handle for one in verify(scan).checked if not one.damage}
            assert staying <= whole
            if code is not REPAIR:
                assert not verify(scan).damaged  # whole or not there
            found["with leftovers"] += bool(scan.problems)
            plan_repair(verify(scan, deep=True)).execute()
            scan = scan_cache(str(cache))
            assert scan.problems == ()
            assert {model.handle for model in scan.models} >= staying
            assert not verify(scan, deep=True).damaged
            subprocess.run(["rm", "-rf", str(cache)], check=True)
    tell(f"{rounds} rounds: " + ", ".join(f"{count} {what}" for what, count in sorted(found.items())))


def set_up(cache: Path, url: str, *, damaged: bool) -> set[str]:
    """A cache with models that go and models that stay; gives the handles of these."""
    cache.mkdir()
    for number in range(60):
        plant(cache, f"https://tfhub.dev/go/{number}/1", FILES, used=number + 1)
    staying = {f"https://tfhub.dev/stay/{number}/1" for number in range(5)}
    for handle in staying:
        plant(cache, handle, FILES)
    if damaged:
        for number in range(12):
            entry = plant(cache, f"{url}/bad/{number}/1", {**FILES, "assets/vocab.txt": b"hub"})
            (entry / ("assets/vocab.txt" if number % 2 else "saved_model.pb")).unlink()
            lock(plant(cache, f"https://tfhub.dev/go/{number}/1", FILES), pid=NOBODY)
            Path(f"{entry}.{'ab' * 16}.tmp").mkdir()
            os.utime(f"{entry}.{'ab' * 16}.tmp", (1, 1))
            for path in cache.glob("*.lock"):
                os.utime(path, (1, 1))
    return staying


# Loading and pruning at once

LOADER = """
import json, os, sys, time
from hub_magic.import_hooks import pkg_resources_stand_in
with pkg_resources_stand_in():
    import tensorflow_hub as hub
from hub_magic import download
from hub_magic.loading import damage
download.install()
damage.explain_loads()
damage.explain_hub_loads()
handle, seconds = sys.argv[1], float(sys.argv[2])
hub.load(handle)
print("ready", flush=True)
loads, removed, other = 0, 0, []
end = time.monotonic() + seconds
while time.monotonic() < end:
    try:
        hub.load(handle)
        loads += 1
    except damage.RemovedEntryError:
        removed += 1
    except Exception as error:
        other.append(repr(error))
print(json.dumps([loads, removed, other]))
"""
PRUNER = """
import random, sys, time
from hub_magic import scan_cache
from hub_magic.care.prune import plan_prune
end = time.monotonic() + float(sys.argv[2])
count = 0
while time.monotonic() < end:
    count += len(plan_prune(scan_cache(sys.argv[1]), max_size=0).execute().removed)
    time.sleep(random.uniform(0, 0.6))
print(count)
"""


@pytest.mark.tensorflow
def test_loading_during_pruning_never_fails(tmp_path: Path, tell: Callable[[str], None]) -> None:
    seconds = 60 if IS_FULL else 5
    cache = tmp_path / "cache"
    env = process_environment(TFHUB_CACHE_DIR=str(cache))

    def start(code: str, *words: str) -> ForkedProcess:
        return start_python("-c", code, *words, str(seconds), env=env, stdout=PIPE, stderr=PIPE)

    with (
        FaultyHost(model_archive(model_files("tf2_vocabulary"))) as host,
        start(LOADER, f"{host.url}/google/model/1") as loader,
    ):
        assert loader.stdout is not None
        assert loader.stdout.readline() == "ready\n"
        with start(PRUNER, str(cache)) as pruner:
            pruned = int(pruner.communicate()[0])
        told, errors = loader.communicate()
        assert loader.returncode == 0, errors
        loads, removed, other = json.loads(told)
    assert other == []
    assert loads
    assert pruned
    kinds = {problem.kind for problem in scan_cache(str(cache)).problems}
    assert kinds == set()
    again = errors.count("was removed by another process while it was being loaded. Loading it again.")
    tell(
        f"{seconds} s: {loads} loads, {again} of them at the second attempt; {pruned} removals, "
        f"{removed} loads ended by a second one, none by anything else"
    )
