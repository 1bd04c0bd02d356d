"""Each thing that goes wrong is brought about, found, mended by the very line that is given, and gone.

In a shell, where `hub-magic doctor` looks, and in a notebook, where `%hub_doctor` does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import model_archive
from care_cache import NOBODY, WHOLE, lock, plant
from doctor_rig import Notebook, Shell, mended, prepare, start_notebook
from faulty_host import FaultyHost
from kernel import Kernel
from repository import REPOSITORY, open_to_all

from hub_magic import diagnose, parse_handle
from hub_magic.doctor.location import better_place, cleaner_of, file_system
from hub_magic.doctor.variables import KNOWN, meant

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"
needs_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root, to mount a disk or to become another"
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home folder where no temporary files are, so that a cache in it lasts."""
    places = (Path.home(), REPOSITORY.parent, Path("/var/lib"), Path("/srv"))
    place = next((place for place in places if os.access(place, os.W_OK) and lasts(place)), None)
    if place is None:
        pytest.skip(f"none of {', '.join(map(str, places))} may be written and lasts")
    with tempfile.TemporaryDirectory(prefix=".hub_magic_test", dir=place) as folder:
        yield Path(folder).resolve()


def lasts(place: Path) -> bool:
    root = Path("/")
    return not cleaner_of(str(place), root) and file_system(str(place), root) not in {"tmpfs", "ramfs"}


@pytest.fixture(scope="module")
def notebook_kernel(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with start_notebook(home, tmp_path_factory.mktemp("kernel") / "k") as kernel:
        prepare(kernel)
        yield kernel


@pytest.fixture(params=["shell", pytest.param("notebook", marks=pytest.mark.kernel)])
def place(request: pytest.FixtureRequest, home: Path) -> Shell | Notebook:
    """Where the doctor is asked; nothing is left there from before."""
    for path in home.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if request.param == "shell":
        return Shell(home)
    return Notebook(request.getfixturevalue("notebook_kernel"))


@pytest.fixture
def cache(place: Shell | Notebook) -> Path:
    """A cache that lasts, set for the place."""
    path = place.home / "models"
    path.mkdir()
    place.set({"TFHUB_CACHE_DIR": str(path)})
    return path


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("TFHUB_CACHE", "/models", "the name is TFHUB_CACHE_DIR"),
        ("tfhub_cache_dir", "/models", "the name is TFHUB_CACHE_DIR"),
        ("MODEL_LOAD_FORMAT", "COMPRESSED", "the name is TFHUB_MODEL_LOAD_FORMAT"),
        ("TF_USE_LEGACY_KERA", "1", "the name is TF_USE_LEGACY_KERAS"),
    ],
)
def test_misspelt_variable_is_fixed(place: Shell | Notebook, variable: str, value: str, says: str) -> None:
    place.set({variable: value})
    mended(place, "variables", "problem", says=says)


def test_misspelt_variable_beside_the_correct_one_is_removed(place: Shell | Notebook, cache: Path) -> None:
    place.set({"TF_HUB_CACHE_DIR": "/elsewhere"})
    mended(place, "variables", "warning", says="TFHUB_CACHE_DIR is set as well")
    assert place.look().the("cache").found.startswith(str(cache))


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("TF_HUB_CACHE_DIR", "TFHUB_CACHE_DIR"),
        ("TFHUB_CACHEDIR", "TFHUB_CACHE_DIR"),
        ("TFHUB_CAHCE_DIR", "TFHUB_CACHE_DIR"),
        ("TENSORFLOW_HUB_CACHE_DIR", "TFHUB_CACHE_DIR"),
        ("TFHUB_MODEL_FORMAT", "TFHUB_MODEL_LOAD_FORMAT"),
        ("TFHUB_DOWNLOAD_PROGRES", "TFHUB_DOWNLOAD_PROGRESS"),
        ("TFHUB_DISABLE_CERT_VERIFICATION", "TFHUB_DISABLE_CERT_VALIDATION"),
        ("HUBMAGIC_OFFLINE", "HUB_MAGIC_OFFLINE"),
        ("TF_LEGACY_KERAS", "TF_USE_LEGACY_KERAS"),
        *((name, "") for name in KNOWN),
        ("HF_HUB_CACHE", ""),
        ("HF_HUB_CACHE_DIR", ""),
        ("HF_HUB_OFFLINE", ""),
        ("KAGGLEHUB_CACHE", ""),
        ("TORCH_HUB_CACHE_DIR", ""),
        ("XDG_CACHE_HOME", ""),
        ("PIP_CACHE_DIR", ""),
        ("TF_CPP_MIN_LOG_LEVEL", ""),
        ("BASH_FUNC_tfhub_cache_dir%%", ""),
    ],
)
def test_misspelt_name_is_recognised(name: str, variable: str) -> None:
    assert meant(name) == variable


@pytest.mark.parametrize(
    ("value", "mode"), [("uncompressed", "uncompressed"), ("COMPRESED", "compressed"), ("'AUTO'", "auto")]
)
def test_misspelt_mode_is_fixed(place: Shell | Notebook, value: str, mode: str) -> None:
    place.set({"TFHUB_MODEL_LOAD_FORMAT": value})
    mended(place, "mode", "problem", says="is not a valid mode")
    found = place.look().the("mode").found
    assert found.split(",")[0] == mode or mode == "auto"  # which a notebook chooses for its runtime


@pytest.mark.parametrize(
    ("value", "state", "says"),
    [
        ("~/models", "problem", "TensorFlow Hub would use ./~/models"),
        ("$HOME/models", "problem", "TensorFlow Hub would use ./$HOME/models"),
        ("'/models'", "problem", "TensorFlow Hub would use ./'/models'"),
        ("/${NOWHERE}/models", "problem", "uses $NOWHERE, which is not set"),
        ("s3://bucket/models", "problem", "cannot be at s3://"),
        ("gs://Bucket", "problem", "not a bucket's address"),
        ("models", "warning", "each working directory has a different cache"),
    ],
)
def test_misread_cache_location_is_fixed(place: Shell | Notebook, value: str, state: str, says: str) -> None:
    place.set({"TFHUB_CACHE_DIR": value})
    mended(place, "TFHUB_CACHE_DIR", state, says=says)
    if "HOME" in value or "~" in value:
        assert place.look().the("cache").found.startswith(str(place.home / "models"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TFHUB_DISABLE_CERT_VALIDATION", "true"),
        ("TFHUB_DISABLE_CERT_VALIDATION", "1"),
        ("HUB_MAGIC_OFFLINE", "oui"),
        ("TF_USE_LEGACY_KERAS", "yes"),
    ],
)
def test_ineffective_or_excessive_value_is_fixed(place: Shell | Notebook, variable: str, value: str) -> None:
    place.set({variable: value})
    mended(place, variable, "warning")


def test_a_timeout_that_is_no_number_of_seconds(place: Shell | Notebook) -> None:
    place.set({"HUB_MAGIC_TIMEOUT": "soon"})
    mended(place, "HUB_MAGIC_TIMEOUT", "problem", says="is not a number of seconds")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("https_proxy", "htps://proxy:3128", "starts with htps://"),
        ("HTTP_PROXY", "http://user:hunter2@proxy:port", "could not be cast to integer"),
        ("ALL_PROXY", "http://", "contains no host"),
        ("http_proxy", '"http://proxy:3128"', "quotation marks"),
        ("https_proxy", "http://[proxy:3128", "Invalid IPv6 URL"),
    ],
)
def test_malformed_proxy_is_fixed(place: Shell | Notebook, variable: str, value: str, says: str) -> None:
    place.set({variable: value})
    found = mended(place, "proxy", "problem", says=says)
    assert "hunter2" not in found.found


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("https_proxy", "https://proxy:3128", "without TLS, so write http://"),
        ("ALL_PROXY", "socks5://127.0.0.1:1080", "needs PySocks, which is not installed: it is ignored"),
        ("HTTPS_PROXY", "socks5h://me:hunter2@proxy:1", "it is spoken to as an http proxy"),
    ],
)
def test_a_proxy_that_is_misread(place: Shell | Notebook, variable: str, value: str, says: str) -> None:
    place.set({variable: value})
    found = place.look().the("proxy")
    assert found.state == "warning"
    assert says in found.found
    assert "hunter2" not in found.found + found.fix
    assert ("pysocks" in found.fix) == value.startswith("socks")
    if not value.startswith("socks"):
        assert "http://proxy:3128" in found.fix


def test_a_proxy_is_shown_without_its_login(place: Shell | Notebook) -> None:
    place.set({"https_proxy": "http://user:p@ss@proxy.example:3128"})
    assert place.look().the("proxy").found == "https_proxy=http://<login>@proxy.example:3128"


@pytest.mark.parametrize(
    "variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"]
)
def test_missing_certificates_are_fixed(place: Shell | Notebook, variable: str) -> None:
    place.set({variable: "/nowhere/ca.pem"})
    mended(place, "certificates", "problem", says="does not exist")


def test_file_without_certificates_is_fixed(place: Shell | Notebook) -> None:
    (place.home / "ca.pem").write_text("<html>")
    place.set({"SSL_CERT_FILE": str(place.home / "ca.pem")})
    mended(place, "certificates", "problem", says="contains no certificate")


@pytest.mark.parametrize(
    ("text", "says"), [(None, "cannot be read"), ("{}", "not a key file"), ("nothing", "not a key file")]
)
def test_unusable_credentials_are_fixed(place: Shell | Notebook, text: str | None, says: str) -> None:
    path = place.home / "key.json"
    if text is not None:
        path.write_text(text)
    place.set({"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
    mended(place, "credentials", "problem", says=says)


def test_bucket_without_login_names_the_login_command(place: Shell | Notebook) -> None:
    place.set({"TFHUB_CACHE_DIR": "gs://models/team", "CLOUDSDK_CONFIG": str(place.home / "gcloud")})
    findings = place.look()
    assert findings.the("credentials").state == "warning"
    assert findings.the("credentials").fix.endswith("gcloud auth application-default login")
    assert findings.the("bucket").state == "unknown"
    login = place.home / "gcloud/application_default_credentials.json"
    login.parent.mkdir()
    login.write_text('{"type": "authorized_user"}')
    assert place.look().the("credentials").state == "fine"


def test_cache_that_is_a_file_is_fixed(place: Shell | Notebook) -> None:
    (place.home / "file").write_text("")
    place.set({"TFHUB_CACHE_DIR": str(place.home / "file")})
    mended(place, "cache", "problem", says="is a file")


def test_temporary_default_location_is_replaced(place: Shell | Notebook) -> None:
    mended(place, "cache location", "warning", says="may be emptied at reboot or by a cleaner")


def test_notebook_moves_models_to_the_new_location(place: Shell | Notebook) -> None:
    temporary = Path(place.kernel.env["TMPDIR"]) if isinstance(place, Notebook) else place.home / "tmp"
    temporary.mkdir(exist_ok=True)
    place.set({"TMPDIR": str(temporary), "TFHUB_CACHE_DIR": str(temporary / "tfhub_modules")})
    plant(temporary / "tfhub_modules", NNLM)
    mended(place, "cache location", "warning")
    kept = place.home / ".cache/tfhub_modules" / parse_handle(NNLM).folder
    assert kept.is_dir() == place.in_notebook
    shutil.rmtree(temporary / "tfhub_modules", ignore_errors=True)


@needs_root
def test_full_disk_in_memory_is_reported_and_fixed(place: Shell | Notebook) -> None:
    small = place.home / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        plant(small, NNLM, size=1_500_000)
        place.set({"TFHUB_CACHE_DIR": str(small)})
        findings = place.look()
        assert (findings.the("cache location").state, findings.the("free disk").state) == (
            "warning",
            "problem",
        )
        assert "tmpfs" in findings.the("cache location").found
        mended(place, "free disk", "problem", says="too little for any model")
        assert place.look().the("cache location").state == "fine"
    finally:
        if place.in_notebook:
            place.kernel.ok("os.chdir(_work)")
        subprocess.run(["umount", str(small)], check=True)


@needs_root
def test_full_disk_without_another_is_fixed_by_pruning(home: Path) -> None:
    """The home folder is on the same disk, so that models have to go."""
    small = home / "other"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "none", str(small)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        place = Shell(small)
        place.set({"TFHUB_CACHE_DIR": str(small / "models")})
        for days in (1, 2, 3):
            plant(small / "models", f"https://tfhub.dev/p/m/{days}", size=2_000_000, used=days)
        found = place.look().the("free disk")
        assert found.state == "problem"
        place.do(found.fix)
        assert place.look().the("models").found.startswith("1 model, 2.0 MB")
    finally:
        subprocess.run(["umount", str(small)], check=True)


@needs_root
def test_unwritable_cache_of_another_user_is_replaced(tmp_path: Path) -> None:
    """As user 65534, whose home is elsewhere, in a directory of root's."""
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    theirs.mkdir(mode=0o755)
    plant(theirs, NNLM)
    mine.mkdir(mode=0o700)
    os.chown(mine, 65534, 65534)
    open_to_all(tmp_path)
    # Once as root, whose Python this is, so that nothing is left to be imported.
    code = (
        "import io, os, sys; from contextlib import redirect_stdout; from hub_magic.cli.main import main\n"
        "with redirect_stdout(io.StringIO()): main(['doctor'])\n"
        "os.setgid(65534); os.setuid(65534); main(['doctor'])"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TFHUB_CACHE_DIR": str(theirs), "HOME": str(mine)}

    def look(before: str = ":") -> str:
        lines = f'{before}; exec "$0" -c "$1"'
        done = subprocess.run(
            ["sh", "-c", lines, sys.executable, code], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = look()
    assert f"problem  cache: {theirs} (owned by root) is not writable: cached models load" in found
    fix = next(line for line in found.splitlines() if str(mine) in line).partition("fix: ")[2]
    assert f"fine     cache: {mine}/.cache/tfhub_modules" in look(fix)
    closed = mine / "closed"
    closed.mkdir(mode=0o500)
    os.chown(closed, 65534, 65534)
    env["TFHUB_CACHE_DIR"] = str(closed)
    found = look()
    assert f"problem  cache: {closed} is not writable" in found
    assert f"fix: chmod u+rwx {closed}\n" in found
    assert f"fine     cache: {closed}, owned by you" in look(f"chmod u+rwx {closed}")


@needs_root
def test_shared_cache_of_another_user_is_reported(place: Shell | Notebook, cache: Path) -> None:
    os.chown(cache, 65534, 65534)
    assert mended(place, "cache", "warning", says="you can write to it, too").fix
    cache.chmod(0o1777)
    place.set({"TFHUB_CACHE_DIR": str(cache)})
    assert "not remove files of others" in place.look().the("cache").found
    assert place.look().the("cache").state == "fine"


def test_damaged_model_is_repaired(place: Shell | Notebook, cache: Path) -> None:
    with FaultyHost(model_archive(WHOLE)) as host:
        handle = f"{host.url}/google/model/1"
        entry = plant(cache, handle)
        (entry / "saved_model.pb").unlink()
        found = mended(place, "models", "problem", says="saved_model.pb is missing")
        assert handle in found.found
    assert (entry / "saved_model.pb").is_file()


def test_damaged_model_of_unknown_handle_is_removed(place: Shell | Notebook, cache: Path) -> None:
    entry = plant(cache, NNLM, descriptor=False)
    (entry / "variables/variables.index").unlink()
    mended(place, "models", "problem", says=entry.name)
    assert not entry.exists()


def test_stale_lock_and_its_leftovers_are_removed(place: Shell | Notebook, cache: Path) -> None:
    entry = cache / parse_handle(NNLM).folder
    scratch = Path(f"{entry}.{'ab' * 16}.tmp")
    scratch.mkdir()
    (scratch / "half").write_bytes(b"x" * 3_000_000)
    stale = lock(entry, pid=NOBODY)
    for path in (scratch / "half", scratch, stale):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    findings = place.look()
    assert "3.0 MB in 1 leftover" in findings.the("leftovers").found
    assert findings.the("leftovers").fix == findings.the("locks").fix
    mended(place, "locks", "problem", says=f"stale: process {NOBODY} is gone")
    assert place.look().the("leftovers").state == "fine"
    assert list(cache.iterdir()) == []


def test_held_lock_is_fine(place: Shell | Notebook, cache: Path) -> None:
    held = lock(cache / parse_handle(NNLM).folder)
    assert place.look().the("locks").state == "fine"
    assert "1 download in progress" in place.look().the("locks").found
    held.unlink()


def test_duplicate_model_is_removed(place: Shell | Notebook, cache: Path) -> None:
    plant(cache, NNLM, size=1000)
    plant(cache, f"{NNLM}/", size=1000)
    found = mended(place, "duplicates", "warning", says="1.0 kB extra")
    assert f"{NNLM} = {NNLM}/" in found.found
    assert "1 model, " in place.look().the("models").found


def test_unreadable_name_is_a_warning(place: Shell | Notebook, cache: Path) -> None:
    (cache / parse_handle(NNLM).folder).symlink_to(place.home)
    found = place.look().the("unreadable")
    assert found.state == "warning"
    assert "is a link, which is not followed" in found.found


def test_hostile_names_stay_data(place: Shell | Notebook, home: Path) -> None:
    folder = home / 'a b";touch gotcha;"'
    folder.mkdir()
    (folder / "file").write_text("")
    place.set({"TFHUB_CACHE_DIR": str(folder / "file")})
    mended(place, "cache", "problem")
    place.set({"TFHUB_CACHE_DIR": f"./{folder.name}"})
    mended(place, "TFHUB_CACHE_DIR", "warning")
    assert not list(home.rglob("gotcha"))


def test_better_place_is_another_folder_in_the_home() -> None:
    assert better_place("/anywhere") == "~/.cache/tfhub_modules"
    assert better_place(str(Path("~/.cache/tfhub_modules").expanduser())) == "~/tfhub_modules"


def test_cleaner_rules_are_read_from_tmpfiles(tmp_path: Path) -> None:
    rules = {
        "usr/lib/tmpfiles.d/tmp.conf": "D /tmp 1777 root root -\nq /data/tmp 1777 root root 30d\n",
        "usr/lib/tmpfiles.d/spare.conf": "x /data/tmp/models-*\n# q /none 0755 - - 1d\n",
        "etc/tmpfiles.d/tmp.conf": "q /data/tmp 1777 root root 10d\n",
    }
    for name, text in rules.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = cleaner_of("/data/tmp/tfhub_modules", tmp_path)
    assert found is not None
    assert (found.path, found.age, found.said_by) == ("/data/tmp", "10d", "/etc/tmpfiles.d/tmp.conf")
    assert cleaner_of("/data/tmp/models-of-mine/x", tmp_path) is None
    assert cleaner_of("/none/x", tmp_path) is None


def test_location_with_a_cleaner_is_a_warning(tmp_path: Path) -> None:
    rules = tmp_path / "root/etc/tmpfiles.d/tmp.conf"
    rules.parent.mkdir(parents=True)
    rules.write_text(f"q {tmp_path}/scratch 1777 root root 10d\n")
    found = diagnose(env={"TFHUB_CACHE_DIR": f"{tmp_path}/scratch/models"}, root=tmp_path / "root")
    (lasts,) = (one for one in found.warnings if one.name == "cache location")
    assert f"files in {tmp_path}/scratch unused for 10d are deleted (/etc/tmpfiles.d/tmp.conf)" in lasts.found
    assert lasts.fix == f"export TFHUB_CACHE_DIR={Path.home()}/.cache/tfhub_modules"


def test_cache_on_colab_lasts_as_long_as_the_session(tmp_path: Path) -> None:
    found = diagnose(env={"COLAB_RELEASE_TAG": "release"}, root=tmp_path).findings
    (lasts,) = (one for one in found if one.name == "cache location")
    assert (lasts.state, lasts.found) == ("fine", "it lasts as long as this Colab session")


def test_remote_worker_is_described(tmp_path: Path) -> None:
    found = diagnose(env={"TPU_NAME": "grpc://10.0.0.2:8470"}, root=tmp_path).findings
    (runtime,) = (one for one in found if one.name == "runtime")
    assert runtime.found == (
        "script, TPU, worker remote; its worker cannot read this computer's files: %%hub_tpu sends models to it"
    )
