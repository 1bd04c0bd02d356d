"""One of the two processes of a situation: load a model, and report the outcome as JSON in the last line.

The request comes as JSON in the first argument; `request_of` in tests/differential/situation.py makes it. Mounts and
the user are changed here, in a process that ends with the situation: nobody else sees them.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPORT = "\x1e"  # stands before the report
_NEW_MOUNTS, _NEW_USER = 0x20000, 0x10000000  # flags of unshare(2)


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Return what happened; an error by the names of its classes, the nearest first."""
    root = Path(request["root"])
    if request["mount"]:
        _unshare()
        MOUNTS[request["mount"]](root)
    if request["user"]:
        if request["extension"]:
            # Another user may be unable to read this Python's own modules, which plain imports at once.
            from hub_magic.download import fetching, new_entry, uncompressed  # noqa: F401
        os.setgid(request["user"])
        os.setuid(request["user"])
    outcome: dict[str, Any] = {"values": None, "error": [], "said": "", "trace": ""}
    load_extension = _load_extension if request["extension"] else lambda: None
    try:
        outcome["values"] = PROGRAMS[request["program"]](request["handle"], request["kind"], load_extension)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        outcome["error"] = [kind.__qualname__ for kind in type(error).__mro__]
        outcome["said"] = str(error)
        outcome["trace"] = _ours_in(error)
    return {**outcome, "files": _tree(root)}


def _ours_in(error: BaseException) -> str:
    """The places in hub_magic that an error went through, the last first."""
    frames = traceback.extract_tb(error.__traceback__)
    names = [f"{frame.filename}:{frame.lineno}".partition("/hub_magic/") for frame in reversed(frames)]
    return " < ".join(place for _, found, place in names if found)


# ---------------------------------------------------------------- what the process does


def _load_extension() -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "hub_magic")


def _hub() -> Any:
    """tensorflow_hub, also where setuptools is too new for it: both processes import it alike."""
    from hub_magic.import_hooks import pkg_resources_stand_in

    with pkg_resources_stand_in():
        import tensorflow_hub
    return tensorflow_hub


def _load(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    load_extension()
    return _answer(_hub().load(handle), kind)


def _answer(model: Any, kind: str) -> Any:
    """The model's numbers for an input of its kind."""
    import tensorflow as tf
    from tf_models import WIDTH

    takes_words = "vocabulary" in kind or kind == "tf1_hub"
    x = tf.constant(["magic", "?", "hub"]) if takes_words else tf.reshape(tf.range(2.0 * WIDTH), (2, WIDTH))
    found = model.signatures["default"](x)["default"] if kind.startswith("tf1") else model(x)
    return found.numpy().tolist()


def _resolve(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    """The folder's name: the folder above it is the process's own."""
    load_extension()
    return Path(_hub().resolve(handle)).name


def _layer(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    import tensorflow as tf

    load_extension()
    return _hub().KerasLayer(handle)(tf.constant(["magic", "?", "hub"])).numpy().tolist()


def _imported_before(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    load = _hub().load
    load_extension()
    return _answer(load(handle), kind)


def _pickled_before(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    load = _hub().load
    load_extension()
    return _answer(pickle.loads(pickle.dumps(load))(handle), kind)


def _pickled_after(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    load_extension()
    return _answer(pickle.loads(pickle.dumps(_hub().load))(handle), kind)


def _reloaded(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    import importlib

    from hub_magic.import_hooks import pkg_resources_stand_in

    load_extension()
    hub = _hub()
    with pkg_resources_stand_in():
        importlib.reload(hub)
    return _answer(hub.load(handle), kind)


def _twice(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    load_extension()
    hub = _hub()
    return [_answer(hub.load(handle), kind) for _ in range(2)]


def _in_threads(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    load_extension()
    hub = _hub()
    found: list[Any] = [None] * 4

    def load(number: int) -> None:
        found[number] = _answer(hub.load(handle), kind)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _with_options(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    import tensorflow as tf

    load_extension()
    options = tf.saved_model.LoadOptions(experimental_io_device="/job:localhost")
    return _answer(_hub().load(handle, options=options), kind)


def _with_tags(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    load_extension()
    return _answer(_hub().load(handle, tags=["nothing"]), kind)


def _by_module(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    """As code of 2019 does it: from a path, by TensorFlow itself."""
    import tensorflow as tf

    load_extension()
    return _answer(tf.saved_model.load(_hub().resolve(handle)), kind)


def _falling_back(*kinds: type[BaseException]) -> Callable[..., Any]:
    """Code that loads from a mirror where the first address fails."""

    def program(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
        load_extension()
        hub = _hub()
        try:
            return _answer(hub.load(handle), kind)
        except kinds:
            return "the mirror's"

    return program


def _by_code(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    """Code that asks the error for the host's status."""
    import urllib.error

    load_extension()
    try:
        return _answer(_hub().load(handle), kind)
    except urllib.error.HTTPError as error:
        return [error.code, error.url.partition("?")[0].rpartition("/")[2], error.reason]


def _unloaded(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    load_extension()
    hub = _hub()
    if load_extension is _load_extension:
        from IPython.core.interactiveshell import InteractiveShell

        InteractiveShell.instance().run_line_magic("unload_ext", "hub_magic")
    return _answer(hub.load(handle), kind)


def _by_flags(handle: str, kind: str, load_extension: Callable[[], None]) -> Any:
    """Code that sets the library's flags in place of the variables."""
    from absl import flags

    load_extension()
    hub = _hub()
    flags.FLAGS["tfhub_cache_dir"].value = str(Path.cwd() / "by flag")
    return _answer(hub.load(handle), kind)


PROGRAMS: dict[str, Callable[..., Any]] = {
    "load": _load,
    "resolve": _resolve,
    "layer": _layer,
    "imported_before": _imported_before,
    "pickled_before": _pickled_before,
    "pickled_after": _pickled_after,
    "reloaded": _reloaded,
    "twice": _twice,
    "in_threads": _in_threads,
    "with_options": _with_options,
    "with_tags": _with_tags,
    "by_module": _by_module,
    "catching_OSError": _falling_back(OSError),
    "catching_ValueError": _falling_back(ValueError),
    "by_code": _by_code,
    "unloaded": _unloaded,
    "by_flags": _by_flags,
}


# ---------------------------------------------------------------- where the cache is


def _unshare() -> None:
    """Have mounts of one's own; a user who is not root becomes root of a name space."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS | (_NEW_USER if user else 0)):
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path("/proc/self", name).write_text(text)
    _mount("--make-rprivate", "/")


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def _overlay(root: Path) -> None:
    """The cache in the lower layer, as in a container's image: a folder of it cannot be renamed (EXDEV)."""
    cache, layers = root / "cache", root / "layers"
    for name in ("upper", "work"):
        (layers / name).mkdir(parents=True)
    cache.rename(layers / "lower")
    cache.mkdir()
    options = f"lowerdir={layers}/lower,upperdir={layers}/upper,workdir={layers}/work"
    _mount("-t", "overlay", "-o", options, "overlay", str(cache))


def _read_only(root: Path) -> None:
    _mount("--bind", str(root / "cache"), str(root / "cache"))
    _mount("-o", "remount,bind,ro", str(root / "cache"))


def _full(root: Path) -> None:
    """A disk without a free byte, with the cache on it."""
    cache = root / "cache"
    cache.rename(root / "before")
    cache.mkdir()
    _mount("-t", "tmpfs", "-o", "size=512k", "none", str(cache))
    shutil.copytree(root / "before", cache, symlinks=True, dirs_exist_ok=True)
    with contextlib.suppress(OSError), (cache / "other").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def _small(root: Path) -> None:
    """A disk that takes a small model: 8 MB, all free."""
    _mount("-t", "tmpfs", "-o", "size=8m", "none", str(root / "cache"))


def _dead(root: Path) -> None:
    """A network disk whose program was killed: every call says "Transport endpoint is not connected"."""
    number = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={number},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"drive", str(root / "cache").encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    os.close(number)


MOUNTS = {"overlay": _overlay, "read-only": _read_only, "full": _full, "small": _small, "dead": _dead}


# ---------------------------------------------------------------- what is there afterwards


def _tree(root: Path) -> dict[str, list[str]]:
    """Kind, and digest or target, of everything below the root; links are not followed."""
    found: dict[str, list[str]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            shown = path.relative_to(root).as_posix()
            try:
                if path.is_symlink():
                    found[shown] = ["link", os.readlink(path)]
                elif path.is_dir():
                    found[shown] = ["folder", ""]
                elif not path.is_file():
                    found[shown] = ["special", ""]
                else:
                    found[shown] = ["file", hashlib.sha256(path.read_bytes()).hexdigest()]
            except OSError as error:
                found[shown] = ["unreadable", type(error).__name__]
    return found


if __name__ == "__main__":
    print(REPORT + json.dumps(main(json.loads(sys.argv[1]))), flush=True)  # noqa: T201
    os._exit(0)  # nothing of this process is needed any more, and its end takes a while
