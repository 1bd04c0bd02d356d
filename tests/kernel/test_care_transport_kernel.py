"""Adding, exporting and moving in a real kernel, with the real tensorflow_hub at the other end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from care_cache import WHOLE, plant, write
from fork_server import run_python
from kernel import Kernel
from repository import process_environment
from saved_models import saved_model

from hub_magic import parse_handle
from hub_magic.host import ModelHost

pytestmark = pytest.mark.kernel

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"


@pytest.fixture
def loaded(kernel: Kernel) -> Kernel:
    kernel.ok("%load_ext hub_magic")
    kernel.ok("%hub_cache ./models")
    return kernel


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel for all mistakes, which change nothing."""
    with Kernel(tmp_path_factory.mktemp("mistaken")) as kernel:
        (kernel.home / "work/file.txt").write_text("not an archive")
        (kernel.home / "work/models").mkdir()
        kernel.ok("%load_ext hub_magic\n%hub_cache .")
        yield kernel


def test_add_export_and_move_magics_carry_a_model(loaded: Kernel) -> None:
    work = loaded.home / "work"
    write(work / "my model", WHOLE)
    cell = loaded.ok(f'%hub_cache --add {NNLM} "my model"')
    entry = work / "models" / parse_handle(NNLM).folder
    assert cell.text == f"{NNLM}: 3 files, 19 bytes, cached at {entry}."
    assert loaded.ok("%hub_cache --resolve " + NNLM).text == repr(str(entry))
    cell = loaded.ok("exported = %hub_cache --export nnlm nnlm.tar.gz\nexported")
    assert "written to nnlm.tar.gz." in cell.text
    assert loaded.value("exported.size") == (work / "nnlm.tar.gz").stat().st_size
    for line in ("--export --all stick", "--export stick --all"):
        assert "stick" in loaded.ok(f"%hub_cache {line}").text
    assert (work / "stick/tfhub.dev/google/nnlm-en-dim50/2.tar.gz").is_file()
    loaded.ok("%hub_cache ./other")
    assert "stick: 1 model added (19 bytes)." in loaded.ok("%hub_cache --add --all stick").text
    cell = loaded.ok("%hub_cache --move-to elsewhere --dry-run")
    assert cell.text.startswith("1 model (19 bytes) to move from ")
    assert not (work / "elsewhere").exists()
    cell = loaded.ok("%hub_cache --move-to elsewhere")
    assert (
        f"Models are cached at {work / 'elsewhere'} from now on; %hub_cache --persist saves this."
        in cell.text
    )
    assert loaded.value("__import__('os').environ['TFHUB_CACHE_DIR']") == str(work / "elsewhere")
    assert list((work / "other").iterdir()) == []
    assert loaded.ok("%hub_cache --resolve " + NNLM).text == repr(str(work / "elsewhere" / entry.name))


def test_a_saved_setting_follows_the_move(loaded: Kernel) -> None:
    config = loaded.home / "ipython/profile_default/ipython_config.json"
    loaded.ok("%hub_cache --move-to second")
    assert not config.exists()
    loaded.ok("%hub_cache --persist")
    assert loaded.ok("%hub_cache --move-to third").text.splitlines()[1:] == [
        f"Models are cached at {loaded.home / 'work/third'} from now on, saved in this IPython profile.",
        f"For other programs: export TFHUB_CACHE_DIR={loaded.home / 'work/third'}",
    ]
    assert json.loads(config.read_text())["HubMagics"]["cache"] == str(loaded.home / "work/third")
    loaded.ok("%hub_cache default")
    plant(loaded.home / "tmp/tfhub_modules", NNLM)
    loaded.ok("%hub_cache --move-to fourth --persist")
    assert json.loads(config.read_text())["HubMagics"]["cache"] == str(loaded.home / "work/fourth")
    assert len(list((loaded.home / "work/fourth").iterdir())) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--add", "SettingError: --add HANDLE PATH takes 2 arguments, got 0."),
        (
            f"--add {NNLM} a b",
            "SettingError: --add HANDLE PATH takes 2 arguments, got 3. Quote arguments that contain spaces.",
        ),
        (f"--add {NNLM} nothing", "SettingError: nothing does not exist."),
        (
            "--add nnlm file.txt",
            "HandleError: 'nnlm' is a path; hub.load reads paths directly and never caches them.",
        ),
        (
            f"--add {NNLM} file.txt",
            "SettingError: file.txt is neither a folder nor a .tar or .tar.gz archive",
        ),
        ("--add --all .", "SettingError: models.json does not exist."),
        ("--export nnlm it.tar", "NotCachedError: 'nnlm' is not cached"),
        ("--export nnlm", "SettingError: --export HANDLE FILE takes 2 arguments, got 1."),
        ("--export --all", "SettingError: --export --all DIRECTORY takes 1 argument, got 0."),
        ("--move-to .", "SettingError: {work} is the cache itself."),
        ("--move-to file.txt", "SettingError: The cache at {work}/file.txt cannot be read: Not a directory."),
        (
            "--move-to gs://bucket/x",
            "SettingError: --move-to takes a directory. For a bucket use --copy-to gs://bucket/x",
        ),
        (
            "--verify --all",
            "SettingError: --all only works with --list or --add or --export. Add one of them.",
        ),
    ],
)
def test_a_users_mistake_is_one_line_and_changes_nothing(mistaken: Kernel, line: str, message: str) -> None:
    work = mistaken.home / "work"
    cell = mistaken.run(f"%hub_cache {line}")
    assert cell.status == "error"
    assert message.format(work=work) in cell.error
    assert len(cell.error.strip().splitlines()) == 1
    assert sorted(path.name for path in work.iterdir()) == ["file.txt", "models"]
    assert mistaken.value("__import__('os').environ['TFHUB_CACHE_DIR']") == str(work)


@pytest.mark.tensorflow
def test_plain_tensorflow_hub_loads_an_exported_model(tensorflow_kernel: Kernel, tmp_path: Path) -> None:
    """A model out of a cache, onto a host, into a kernel that knows nothing of hub_magic."""
    tensorflow_kernel.ok("%load_ext hub_magic\n%hub_cache ./models")
    tensorflow_kernel.ok(f"%hub_cache --add {NNLM} {saved_model('tf2_vocabulary')}")
    stick = tmp_path / "stick"
    tensorflow_kernel.ok(f"%hub_cache --export --all {stick}")
    code = (
        "import sys; from hub_magic.import_hooks import pkg_resources_stand_in\n"
        "with pkg_resources_stand_in(): import tensorflow_hub as hub\n"
        "print(hub.load(sys.argv[1])(['hub']).shape)"
    )
    with ModelHost(stick) as host:
        (handle,) = host.handles
        environment = process_environment(TFHUB_CACHE_DIR=str(tmp_path / "plain"))
        run = run_python("-c", code, handle, env=environment)
    assert run.stdout == "(1, 4)\n", run.stderr
    tensorflow_kernel.ok("import tensorflow_hub as hub")
    assert tensorflow_kernel.value(f"hub.load({NNLM!r})(['hub']).shape.as_list()") == [1, 4]
