"""What `--report` leaves out, whatever it is given."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from care_cache import NOBODY, lock, plant
from doctor_rig import Shell

from hub_magic import parse_handle
from hub_magic.doctor.diagnosis import mask

HANDLE = "https://alice:hunter2@models.example/team/model/1?token=sesame123"
SECRETS = ("alice", "hunter2", "sesame123", "robot@project", "s3cr3t", "wonder", "ya29.abcdefghijkl")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home" / "alice"
    home.mkdir(parents=True)
    place = Shell(home)
    place.set({"USER": "alice", "LOGNAME": "alice"})
    return place


def test_report_of_a_hostile_environment_hides_secrets(shell: Shell) -> None:
    cache = shell.home / "models"
    entry = plant(cache, HANDLE)
    (entry / "saved_model.pb").unlink()
    plant(cache, HANDLE.replace("model/1", "model/1/"))
    lock(cache / parse_handle("https://h/m/1").folder, pid=NOBODY)
    shell.set(
        {
            "TFHUB_CACHE_DIR": str(cache),
            "https_proxy": "http://alice:p@hunter2/@proxy.example:3128",
            "HTTP_PROXY": "http://wonder:s3cr3t@proxy.example:port",
            "SSL_CERT_FILE": "/home/wonder/alice/ya29.abcdefghijkl.pem",
            "GOOGLE_APPLICATION_CREDENTIALS": "/Users/wonder/robot@project.iam.gserviceaccount.com.json",
            "TFHUB_MODEL_LOAD_FORMAT": "https://x/?api_key=s3cr3t&a=b",
            "TFHUB_CACHE": "s3cr3t",
        }
    )
    done = shell.run("--report")
    text = done.stdout
    assert done.returncode == 0
    for secret in (*SECRETS, str(shell.home), socket.gethostname()):
        assert secret not in text, secret
    assert "- **problem** models: 2 models" in text
    assert "https://<login>@models.example/team/model/1?token=<secret>" in text
    assert "TFHUB_CACHE is not a known variable" in text
    assert "~/models" in text
    assert "/home/<user>/" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("in /home/alice/models", "in ~/models"),
        ("in /home/alicent/models", "in /home/<user>/models"),
        (r"in C:\Users\Bob\models", r"in C:\Users\<user>\models"),
        ("(owned by alice)", "(owned by <user>)"),
        ("malice and alice-springs", "malice and alice-springs"),
        ("https://alice@host/a", "https://<login>@host/a"),
        ("https://host/a@b/c", "https://host/<account>/c"),
        ("by robot-1@project.iam.gserviceaccount.com.", "by <account>."),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer <secret>"),
        ("KAGGLE_KEY=0123456789abcdef", "KAGGLE_KEY=<secret>"),
        ("?X-Goog-Signature=abc&x=1", "?X-Goog-Signature=<secret>&x=1"),
        ("hf_abcdefghijklmnop and AIzaSyabcdefghijk", "<secret> and <secret>"),
        (
            "on machine tensorflow-2 with tensorflow_hub 0.16.1",
            "on machine tensorflow-2 with tensorflow_hub 0.16.1",
        ),
        ("key files are read", "key files are read"),
    ],
)
def test_mask_hides_names_and_secrets(text: str, shown: str) -> None:
    assert mask(text, env={"HOME": "/home/alice", "USER": "alice"}) == shown


def test_text_of_others_cannot_break_the_report(shell: Shell) -> None:
    shell.set({"TFHUB_CACHE_DIR": "~/a`b``c", "SSL_CERT_FILE": "~/\n# heading"})
    text = shell.run("--report").stdout
    assert "\n# heading" not in text
    assert "fix: ```export TFHUB_CACHE_DIR='~/a`b``c'```" in text
