"""Secrets in handles: masked wherever a handle is shown, and in files that others cannot read."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest
from archives import model_archive
from care_cache import plant
from faulty_host import Fault, FaultyHost
from hypothesis import given
from hypothesis import strategies as st

from hub_magic import (
    DownloadError,
    HandleError,
    NotCachedError,
    fetch,
    parse_handle,
    plan_removal,
    scan_cache,
)
from hub_magic.cache.placement import place
from hub_magic.cli.main import main
from hub_magic.masking import has_secrets, mask_secrets
from hub_magic.render import functions_of, text_of
from hub_magic.widget.details import describe, details_data
from hub_magic.widget.rows import Rows

WORD = "S3cr3tW0rd"
SECRETS = (
    f"https://me:{WORD}@host.example/a/b/1",
    f"https://{WORD}@host.example/a/b/1",
    f"https://me:{WORD}@host.example:8443/a/b/1",
    f"http://me:{WORD}@host.example",
    *(
        f"https://host.example/a/b/1?format=tar&{name}={WORD}"
        for name in (
            "token",
            "access_token",
            "TOKEN",
            "key",
            "api_key",
            "apikey",
            "sig",
            "signature",
            "Signature",
            "X-Goog-Signature",
            "X-Goog-Credential",
            "X-Amz-Security-Token",
            "X-Amz-Signature",
            "x-ms-signature",
            "sas",
            "sastoken",
            "password",
            "client_secret",
            "AWSAccessKeyId",
            "GoogleAccessId",
            "auth",
            "jwt",
        )
    ),
    f"https://host.example/a/b/1?sv=2024&se=2027&sig={WORD}%3D",
    f"https://host.example/a/b/1#access_token={WORD}",
)
PLAIN = (
    "https://tfhub.dev/google/nnlm-en-dim50/2",
    "https://host.example/a@b/c/1",
    "https://host.example:8443/a/b/1?tf-hub-format=compressed",
    "https://host.example/tokens/keys/1?size=3&monk=1",
    "gs://bucket/key=1/x",
    "/home/me/key=1",
    "token=abc",
)


@pytest.mark.parametrize("handle", SECRETS)
def test_secret_is_masked_and_the_rest_is_kept(handle: str) -> None:
    masked = mask_secrets(handle)
    assert WORD not in masked
    assert "host.example" in masked
    assert has_secrets(handle)
    assert mask_secrets(masked) == masked
    assert mask_secrets(f"The handle {handle!r} fails: {handle}.").count(WORD) == 0


@pytest.mark.parametrize("text", PLAIN)
def test_url_without_secrets_stays_as_it_is(text: str) -> None:
    assert mask_secrets(text) == text


@given(st.text(), st.text())
def test_masking_takes_any_text_and_is_stable(one: str, two: str) -> None:
    masked = mask_secrets(f"{one}://{two}@h?token={one}")
    assert mask_secrets(masked) == masked


@pytest.mark.parametrize("handle", SECRETS)
def test_no_view_of_a_cache_shows_the_secret(
    handle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path, handle)
    found = scan_cache(tmp_path)
    (model,) = found.models
    assert model.handle == handle
    functions = functions_of(found)
    assert functions is not None
    shown = [show(found) for show in functions]
    shown += [
        found.to_json(),
        text_of(plan_removal([handle], found)),
        plan_removal([handle], found).to_json(),
    ]
    shown += [json.dumps(Rows().update(found.models).new), json.dumps(details_data(describe(model)))]
    shown += [
        model.name,
        model.publisher,
        model.version,
        parse_handle(handle).canonical if "@" in handle else "",
    ]
    for words in (
        ["list"],
        ["list", "--json"],
        ["verify"],
        ["remove", "nothing"],
        ["prune", "--older-than", "1d"],
    ):
        main([*words, "--cache", str(tmp_path)])
        shown += capsys.readouterr()
    assert not [text for text in shown if WORD in text]


def test_masked_handle_selects_its_model(tmp_path: Path) -> None:
    plant(tmp_path, SECRETS[0])
    plan = plan_removal([mask_secrets(SECRETS[0])], scan_cache(tmp_path))
    assert [choice.model.handle for choice in plan.going] == [SECRETS[0]]


@pytest.mark.parametrize(
    "handle", [f"https://me:{WORD}/x@host/a", f"ftp://me:{WORD}@host/a", f"http://a:{WORD}@[/"]
)
def test_message_about_a_malformed_handle_hides_the_secret(handle: str) -> None:
    with pytest.raises(HandleError) as caught:
        parse_handle(handle)
    assert WORD not in str(caught.value)
    assert WORD not in repr(caught.value)


def test_offline_message_hides_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")
    plant(tmp_path, SECRETS[0])
    with pytest.raises(NotCachedError) as caught:
        fetch(SECRETS[0] + "2", location=str(tmp_path))
    assert WORD not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize("login", ["me:S3cr3tW0rd@", ""])
def test_files_with_a_secret_are_private_and_a_line_names_netrc(login: str, tmp_path: Path) -> None:
    said: list[str] = []
    before = os.umask(0o022)
    try:
        with FaultyHost(model_archive()) as host:
            handle = host.url.replace("://", f"://{login}") + "/a/b/1"
            cache, copy = tmp_path / "cache", tmp_path / "copy"
            copy.mkdir()
            entry = fetch(handle, location=str(cache), notice=said.append).path
            model = scan_cache(cache).models[0]
            assert place(str(copy), model, lambda _bytes: None) is None
    finally:
        os.umask(before)
    mode = 0o600 if login else 0o644
    for place_ in (cache, copy):
        for suffix in (".descriptor.txt", ".files.json"):
            assert stat.S_IMODE((place_ / f"{Path(entry).name}{suffix}").stat().st_mode) == mode
    assert ["~/.netrc" in line for line in said] == ([True] if login else [])
    assert WORD not in "".join(said)


@pytest.mark.parametrize("status", [401, 403, 404, 418])
def test_refused_download_hides_the_secret(status: int, tmp_path: Path) -> None:
    with FaultyHost(b"", then=Fault(status=status)) as host, pytest.raises(DownloadError) as caught:
        fetch(f"{host.url}/a/b/1?token={WORD}", location=str(tmp_path), notice=lambda _line: None)
    assert WORD not in str(caught.value)
