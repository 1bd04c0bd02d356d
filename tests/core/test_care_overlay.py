"""Care of a cache in a lower layer of an overlay, as in a container image: its folders cannot be renamed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from care_cache import GRAPH, plant
from repository import REPOSITORY, process_environment

MODELS = [f"https://host.test/team/model{number}/1" for number in range(3)]
CODE = """
import errno, os, sys
from pathlib import Path
import hub_magic
from hub_magic import plan_move, plan_prune, plan_removal, scan_cache, verify

cache, target = sys.argv[1:]
os.environ["TFHUB_CACHE_DIR"] = cache
first, second, third = scan_cache().models
try:
    os.rename(first.path, first.path + ".x")
except OSError as error:
    assert error.errno == errno.EXDEV
else:
    raise SystemExit("this overlay renames folders")
done = plan_removal([first.handle]).execute()
assert [one.handle for one in done.removed] == [first.handle], done.kept
assert not Path(first.path).exists()
moved = plan_move(target).execute()
assert [one.handle for one in moved.moved] == [second.handle, third.handle], (moved.kept, moved.failed)
assert scan_cache().models == () and scan_cache().problems == ()
assert len(scan_cache(target).models) == 2 and not verify(scan_cache(target)).damaged
os.environ["TFHUB_CACHE_DIR"] = target
assert len(plan_prune(max_size=0).execute().removed) == 2
print("done")
"""


def in_overlay(tmp_path: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code where `tmp_path / "cache"` is an overlay above `tmp_path / "lower"`."""
    for name in ("upper", "work", "cache"):
        (tmp_path / name).mkdir()
    mount = "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=off cache"
    script = f'cd "$0" && {mount} && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, str(tmp_path), sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        env=process_environment(PYTHONPATH=str(REPOSITORY)),
    )


def test_remove_move_and_prune_work_in_an_overlay(tmp_path: Path) -> None:
    for handle in MODELS:
        plant(tmp_path / "lower", handle, {"saved_model.pb": GRAPH, "variables/variables.index": b"index",
                                           "variables/variables.data-00000-of-00001": b"weights"})  # fmt: skip
    done = in_overlay(tmp_path, CODE, str(tmp_path / "cache"), str(tmp_path / "target"))
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no overlay can be mounted here: {done.stderr.strip()}")
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
