"""What the model host never gives away: whatever is outside its folder, or hidden in it."""

import pytest
from host_client import FILES, ask, write_model

from hub_magic.host import ModelHost


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "models/digits/classifier/1")
    return tmp_path / "models"


@pytest.fixture
def open_folder(tmp_path, folder):
    """The folder with every kind of link out of it, beside a secret."""
    secret = write_model(tmp_path / "secret/1", {"saved_model.pb": b"SECRET", "key": b"SECRET"})
    (tmp_path / "secret.tar.gz").write_bytes(b"SECRET")
    (folder / "leak").symlink_to(secret.parent)
    (folder / "leak.tar.gz").symlink_to(tmp_path / "secret.tar.gz")
    write_model(folder / ".hidden/1", {"saved_model.pb": b"SECRET"})
    (folder / "plain.txt").write_bytes(b"SECRET")
    inner = write_model(folder / "inner/1")
    (inner / "variables/key").symlink_to(secret / "key")
    return folder


@pytest.mark.parametrize(
    "path",
    [
        "/../secret/1",
        "/digits/../../secret/1",
        "/%2e%2e/secret/1",
        "/digits/%2E%2e/%2e./secret/1",
        "/..%2fsecret%2f1",
        "/digits%2f..%2f..%2fsecret%2f1",
        "/..%5csecret%5c1",
        "/..\\secret\\1",
        "/%252e%252e/secret/1",
        "//secret/1",
        "/{outside}/secret/1",
        "//{outside}/secret/1",
        "/%2f{outside}/secret/1",
        "/..;/secret/1",
        "/digits/classifier/1%00/../../../../secret/1",
        "/secret/1%00.tar.gz",
        "/../secret.tar.gz",
        "/%2e%2e/secret.tar.gz",
        "/leak/1",
        "/leak.tar.gz",
        "/leak",
        "/.hidden/1",
        "/.hidden/1.tar.gz",
        "/plain.txt",
        "/digits/classifier/1/saved_model.pb",
        "/inner/1/variables/key",
        "http://{host}/../secret/1",
        "http://{host}/%2e%2e/secret/1",
        "secret/1",
        "../secret/1",
        "*",
        "/" + "a" * 5000,
        "/" + "a/" * 5000,
    ],
)
def test_paths_outside_the_folder_return_404(open_folder, tmp_path, path):
    outside = str(tmp_path).lstrip("/")
    with ModelHost(open_folder, gcs={"../secret/1": "gs://SECRET"}) as host:
        target = path.format(outside=outside, host=host.url.removeprefix("http://"))
        for query in ("", "?tf-hub-format=compressed", "?tf-hub-format=uncompressed"):
            answer = ask(host.url, target + query)
            assert answer.status == 404
            assert b"SECRET" not in answer.body
            assert answer.text.count("\n") == 1


def test_model_with_a_link_outside_returns_403(open_folder):
    with ModelHost(open_folder) as host:
        for path in ("/inner/1", "/inner/1?tf-hub-format=compressed"):
            answer = ask(host.url, path)
            assert answer.status == 403
            assert answer.text == (
                "'inner/1' cannot be served. A link leads outside the served folder (variables/key).\n"
            )


def test_list_has_only_models_inside_the_folder(open_folder):
    with ModelHost(open_folder) as host:
        listed = [handle.removeprefix(host.url) for handle in host.handles]
    assert listed == ["/digits/classifier/1", "/inner/1"]


def test_links_that_stay_inside_are_followed(folder):
    model = folder / "digits/classifier/1"
    (folder / "blobs").mkdir()
    (model / "assets/vocabulary.txt").rename(folder / "blobs/words")
    (model / "assets/vocabulary.txt").symlink_to(folder / "blobs/words")
    (folder / "digits/classifier/7").symlink_to("1")
    (folder / "digits/up").symlink_to("..")
    with ModelHost(folder) as host:
        assert ask(host.url, "/digits/classifier/7.tar.gz").members == FILES
        assert f"{host.url}/digits/classifier/7" in host.handles
        assert ask(host.url, "/digits/up/digits/classifier/1.tar.gz").members == FILES


@pytest.mark.parametrize(
    ("link", "status", "reason"),
    [
        ("assets", 500, "A link leads to a folder above itself (assets/link)"),
        ("gone", 404, "No such file or directory (assets/link)"),
    ],
)
def test_model_with_an_unresolvable_link_is_refused(folder, link, status, reason):
    model = folder / "digits/classifier/1"
    (model / "assets/link").symlink_to(model / link)
    with ModelHost(folder) as host:
        answer = ask(host.url, "/digits/classifier/1.tar.gz")
    assert (answer.status, answer.text) == (
        status,
        f"'digits/classifier/1' cannot be served. {reason}.\n",
    )
