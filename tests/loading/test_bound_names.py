"""tensorflow_hub's functions stay the objects that they were, and lead through the extension under every name."""

from __future__ import annotations

from pathlib import Path

import pytest
from both_sides import run_side

pytestmark = pytest.mark.tensorflow

BOUND = """
import copy, inspect, pickle
load, resolve, layer = hub.load, hub.resolve, hub.KerasLayer
functions = (load, resolve, layer)
def state():
    import cloudpickle
    return [
        [pickle.loads(pickle.dumps(one)) is one for one in functions],
        [cloudpickle.loads(cloudpickle.dumps(one)) is one for one in functions],
        [copy.deepcopy(one) is one for one in functions],
        [str(inspect.signature(one)) for one in functions],
        [inspect.getsource(one) for one in functions],
        [one.__module__ + "." + one.__qualname__ for one in functions],
        (hub.load, hub.resolve, hub.KerasLayer) == functions,
        load.__defaults__,
    ]
"""
LOAD_EXTENSION = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "hub_magic")
"""


def test_functions_bound_before_the_extension_stay_what_they_were() -> None:
    pytest.importorskip("cloudpickle")
    script = f"""{BOUND}
answer(state())
code = [load.__code__, resolve.__code__]
{LOAD_EXTENSION}
answer(state())
shell.run_line_magic("reload_ext", "hub_magic")
answer(state())
answer(load.__code__ is not code[0])
shell.run_line_magic("unload_ext", "hub_magic")
answer([load.__code__, resolve.__code__] == code)
"""
    before, loaded, again, changed, restored = run_side(script, with_extension=False).answers
    assert all(all(same) for same in before[:3])
    assert before == loaded == again
    assert changed is True
    assert restored is True


def test_functions_bound_before_the_extension_lead_through_it(tmp_path: Path) -> None:
    script = f"""{BOUND}
{LOAD_EXTENSION}
import hub_magic
for act in (load, resolve, layer):
    try:
        act(sys.argv[1])
    except hub_magic.NotCachedError as error:
        answer("offline mode is on" in str(error))
"""
    told = run_side(
        script,
        "https://tfhub.dev/a/b/1",
        with_extension=False,
        HUB_MAGIC_OFFLINE="1",
        TFHUB_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert told.answers == [True, True, True]


RELOADS = {
    "package": "importlib.reload(hub)",
    "package twice": "importlib.reload(hub); importlib.reload(hub)",
    "resolvers installed again": "hub.config._run()",
    "registry and package": "importlib.reload(hub.registry); importlib.reload(hub)",
    "functions": "importlib.reload(hub.module_v2); importlib.reload(hub)",
    "config": "importlib.reload(hub.config); hub.config._run()",
    "resolver": "importlib.reload(hub.resolver); importlib.reload(hub)",
    "package imported again": "del sys.modules['tensorflow_hub']; import tensorflow_hub as hub",
    "all imported again": (
        "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('tensorflow_hub')]\n"
        "import tensorflow_hub as hub"
    ),
}


def test_our_resolver_is_on_top_after_a_reload(tmp_path: Path) -> None:
    script = f"""
import importlib, hub_magic
reloads = {RELOADS!r}
def asked(handle):
    try:
        return hub.resolve(handle)
    except Exception as error:
        return type(error).__name__
for name, code in reloads.items():
    exec(code)
    answer([name, asked("http://127.0.0.1:9/a/b/1"), asked("gs://bucket/model")])
    ours = [type(one).__name__ for one in sys.modules["tensorflow_hub.registry"].resolver._impls]
    answer(ours.count("HubMagicResolver"))
shell.run_line_magic("unload_ext", "hub_magic")
answer(["HubMagicResolver" in str(sys.modules["tensorflow_hub.registry"].resolver._impls), hub.resolve.__code__.co_names])
"""
    told = run_side(
        script,
        with_extension=True,
        HUB_MAGIC_OFFLINE="1",
        TFHUB_CACHE_DIR=str(tmp_path / "cache"),
    ).answers
    *rounds, last = told
    assert rounds[::2] == [[name, "NotCachedError", "NotCachedError"] for name in RELOADS]
    assert rounds[1::2] == [1] * len(RELOADS)
    assert last == [False, ["registry", "resolver"]]
