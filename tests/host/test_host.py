"""The model host over HTTP: what each URL answers, and how a host is started and ended."""

import os
import socket

import pytest
from host_client import FILES, ask, ask_on, connect, write_model

from hub_magic.host import HostError, ModelHost, Request
from hub_magic.host.archives import plan_part

MODEL = "/digits/classifier/1"
BUCKET = "gs://bucket/digits/classifier/1"
COMPRESSED = MODEL + "?tf-hub-format=compressed"


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "models/digits/classifier/1")
    write_model(tmp_path / "models/google/imagenet/mobilenet/2", {"saved_model.pbtxt": b"text"})
    write_model(tmp_path / "models/google/imagenet/mobilenet/10", {"tfhub_module.pb": b"tf1"})
    return tmp_path / "models"


@pytest.fixture
def host(folder):
    gcs = {"digits/classifier/1": BUCKET, "/big/only/1/": "gs://bucket/big"}
    with ModelHost(folder, gcs=gcs) as host:
        yield host


class TestFormats:
    @pytest.mark.parametrize(
        "path",
        [
            COMPRESSED,
            MODEL + "/?tf-hub-format=compressed",
            MODEL + ".tar.gz",
            MODEL + ".tar.gz?tf-hub-format=compressed",
        ],
    )
    def test_compressed_request_returns_the_archive(self, host, path):
        answer = ask(host.url, path)
        assert answer.status == 200
        assert answer.members == FILES
        assert answer.headers["content-length"] == str(len(answer.body))
        assert answer.headers["content-type"] == "application/gzip"
        assert answer.headers["accept-ranges"] == "bytes"
        assert "content-encoding" not in answer.headers

    def test_last_of_several_formats_wins(self, host):
        answer = ask(host.url, MODEL + "?tf-hub-format=uncompressed&other=1&tf-hub-format=compressed")
        assert answer.headers["content-type"] == "application/gzip"

    def test_uncompressed_request_returns_303_with_the_bucket(self, host):
        answer = ask(host.url, MODEL + "?tf-hub-format=uncompressed")
        assert (answer.status, answer.text) == (303, BUCKET)
        assert "location" not in answer.headers

    def test_uncompressed_request_without_a_bucket_returns_404(self, host):
        answer = ask(host.url, "/google/imagenet/mobilenet/2?tf-hub-format=uncompressed")
        assert answer.status == 404
        assert (
            answer.text
            == "'google/imagenet/mobilenet/2' has no gs:// folder on this host. Load it compressed.\n"
        )

    def test_model_only_in_a_bucket_is_served_uncompressed(self, host):
        assert ask(host.url, "/big/only/1?tf-hub-format=uncompressed").text == "gs://bucket/big"
        answer = ask(host.url, "/big/only/1?tf-hub-format=compressed")
        assert answer.status == 404
        assert "only in gs://bucket/big; load it uncompressed" in answer.text
        page = ask(host.url, "/big/only/1").text
        assert "gs://bucket/big" in page
        assert "Download" not in page

    def test_unknown_format_returns_400(self, host):
        answer = ask(host.url, MODEL + "?tf-hub-format=zip")
        assert answer.status == 400
        assert answer.text == "tf-hub-format is 'compressed' or 'uncompressed', not 'zip'.\n"

    @pytest.mark.parametrize("path", [COMPRESSED, MODEL, "/", "/nothing/1"])
    def test_head_is_get_without_the_body(self, host, path):
        get, head = ask(host.url, path), ask(host.url, path, "HEAD")
        assert head.body == b""
        assert head.status == get.status
        assert {**head.headers, "date": ""} == {**get.headers, "date": ""}

    def test_connection_serves_several_requests(self, host):
        connection = connect(host.url)
        statuses = [ask_on(connection, path).status for path in (COMPRESSED, MODEL, "/nothing/1", COMPRESSED)]
        connection.close()
        assert statuses == [200, 200, 404, 200]

    def test_a_body_is_not_taken_for_a_second_request(self, host):
        with socket.create_connection(host.url.removeprefix("http://").split(":"), timeout=60) as client:
            body = b"GET /hidden HTTP/1.1\r\n\r\n"
            client.sendall(b"GET / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            while client.recv(65536):
                pass
        assert [request.path for request in host.requests] == ["/"]

    def test_other_methods_return_501(self, host):
        assert ask(host.url, MODEL, "DELETE").status == 501

    def test_added_and_removed_models_are_noticed(self, host, folder):
        path = "/late/model/3?tf-hub-format=compressed"
        assert ask(host.url, path).status == 404
        model = write_model(folder / "late/model/3")
        assert ask(host.url, path).members == FILES
        (model / "saved_model.pb").unlink()
        assert ask(host.url, path).status == 404


class TestPages:
    def test_model_page_shows_how_to_load_it(self, host):
        page = ask(host.url, MODEL)
        assert page.status == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert f"hub.load(&quot;{host.url}{MODEL}&quot;)" in page.text
        for words in (
            "<h1>classifier</h1>",
            "<td>digits</td>",
            "<td>1</td>",
            "10.3 kB in 4 files",
            "vocabulary.txt",
            BUCKET,
        ):
            assert words in page.text
        assert f'href="{host.url}{MODEL}.tar.gz"' in page.text

    @pytest.mark.parametrize(
        "name", ["<script>alert(1)</script>", "a&b", 'quote"d', "blank name", "ünï", "100%"]
    )
    def test_every_name_is_escaped_and_can_be_followed(self, host, folder, name):
        parts = name.replace("/", "")
        write_model(folder / "odd" / parts / "1", {"saved_model.pb": b"", f"{parts}.txt": b""})
        listing = ask(host.url, "/odd").text
        link = listing.partition('<a href="')[2].partition('"')[0]
        assert link == "/" + host.handles[-1].removeprefix(host.url + "/")
        page = ask(host.url, link)
        assert page.status == 200
        assert "<script" not in listing + page.text
        assert ask(host.url, link + ".tar.gz").members == {"saved_model.pb": b"", f"{parts}.txt": b""}

    def test_name_of_invalid_bytes_is_served(self, host, folder):
        write_model(folder / "bytes" / os.fsdecode(b"\xff") / "1", {"saved_model.pb": b""})
        assert host.handles[1] == host.url + "/bytes/%FF/1"
        with socket.create_connection(host.url.removeprefix("http://").split(":"), timeout=60) as client:
            client.sendall(b"HEAD /bytes/\xff/1 HTTP/1.0\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert ask(host.url, "/bytes").status == 200
        assert ask(host.url, "/bytes/%FF/1").status == 200
        assert ask(host.url, "/bytes/%FF/1.tar.gz").members == {"saved_model.pb": b""}

    def test_list_page_shows_the_models_below_its_path(self, host):
        root, google = ask(host.url, "/").text, ask(host.url, "/google/").text
        models = ["/big/only/1", MODEL, "/google/imagenet/mobilenet/2", "/google/imagenet/mobilenet/10"]
        assert [line.split('"')[1] for line in root.splitlines() if "<li>" in line] == models
        assert [line.split('"')[1] for line in google.splitlines() if "<li>" in line] == models[2:]

    def test_an_empty_folder_says_how_models_are_laid_out(self, tmp_path):
        with ModelHost(tmp_path) as host:
            assert "PUBLISHER/NAME/VERSION" in ask(host.url, "/").text

    def test_a_handle_without_its_version_cannot_be_loaded(self, host):
        answer = ask(host.url, "/google/imagenet?tf-hub-format=compressed")
        assert answer.status == 404
        assert "'google/imagenet/mobilenet/2', 'google/imagenet/mobilenet/10'" in answer.text
        assert answer.text.count("\n") == 1

    def test_model_page_shows_the_handle_of_the_browsers_address(self, host):
        shown = ask(host.url, MODEL, Host="models.example.org", X_Forwarded_Proto="https").text
        assert f"https://models.example.org{MODEL}" in shown
        attack = ask(host.url, MODEL, Host='"><script>').text
        assert "<script" not in attack
        assert host.url + MODEL in attack

    def test_unknown_model_page_returns_404(self, host):
        answer = ask(host.url, "/digits/%0Aclassifier/2?tf-hub-format=compressed")
        assert answer.status == 404
        assert answer.text == (
            "There is no model at '/digits/%0Aclassifier/2?tf-hub-format=compressed'. See / for all models.\n"
        )


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "status", "start", "length"),
        [
            ("", 200, 0, 100),
            ("bytes=0-9", 206, 0, 10),
            ("bytes=99-", 206, 99, 1),
            ("bytes=-30", 206, 70, 30),
            ("bytes=-300", 206, 0, 100),
            ("bytes=90-500", 206, 90, 10),
            ("bytes=100-", 416, 0, 0),
            ("bytes=-0", 416, 0, 0),
            ("bytes=9-0", 200, 0, 100),
            ("bytes=-", 200, 0, 100),
            ("bytes=0-1,5-6", 200, 0, 100),
            ("bytes=x-", 200, 0, 100),
            ("pages=1-2", 200, 0, 100),
            ("bytes=" + "9" * 5000 + "-", 200, 0, 100),
        ],
    )
    def test_ranges_and_conditions_choose_the_part(self, asked, status, start, length):
        part = plan_part(100, '"tag"', asked=asked)
        assert (part.status, part.start, part.length) == (status, start, length)

    def test_range_request_returns_these_bytes(self, host):
        whole = ask(host.url, COMPRESSED)
        part = ask(host.url, COMPRESSED, Range="bytes=10-19")
        assert (part.status, part.body) == (206, whole.body[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(whole.body)}"
        assert part.headers["etag"] == whole.headers["etag"]
        rest = ask(host.url, COMPRESSED, Range="bytes=20-", If_Range=whole.headers["etag"])
        assert (rest.status, rest.body) == (206, whole.body[20:])

    def test_range_beyond_the_end_returns_416(self, host):
        size = len(ask(host.url, COMPRESSED).body)
        answer = ask(host.url, COMPRESSED, Range=f"bytes={size}-")
        assert (answer.status, answer.body) == (416, b"")
        assert answer.headers["content-range"] == f"bytes */{size}"

    @pytest.mark.parametrize("tag", ['"other"', 'W/"{}"', "Fri, 20 Nov 2026 10:00:00 GMT"])
    def test_if_range_of_another_archive_returns_all_of_it(self, host, tag):
        whole = ask(host.url, COMPRESSED)
        given = tag.format(whole.headers["etag"].strip('"'))
        answer = ask(host.url, COMPRESSED, Range="bytes=10-", If_Range=given)
        assert (answer.status, answer.body) == (200, whole.body)

    def test_if_none_match_returns_304(self, host):
        etag = ask(host.url, COMPRESSED).headers["etag"]
        answer = ask(host.url, COMPRESSED, If_None_Match=f'"other", W/{etag}')
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)

    def test_head_with_a_range_describes_the_complete_archive(self, host):
        answer = ask(host.url, COMPRESSED, "HEAD", Range="bytes=0-1")
        assert answer.status == 200
        assert int(answer.headers["content-length"]) > 2


class TestHost:
    def test_requests_are_recorded_as_they_came(self, host):
        ask(host.url, COMPRESSED, Range="bytes=0-9")
        ask(host.url, "/%2e", "HEAD")
        assert host.requests == (Request("GET", COMPRESSED, "bytes=0-9"), Request("HEAD", "/%2e", ""))

    def test_host_listens_on_loopback_and_prints_nothing(self, host, capfd):
        assert host.url.startswith("http://127.0.0.1:")
        ask(host.url, MODEL)
        ask(host.url, "/", "PUT")
        assert capfd.readouterr() == ("", "")

    def test_host_on_every_address_has_a_working_url(self, folder):
        with ModelHost(folder, bind="0.0.0.0") as host:
            assert ask(host.url, MODEL).status == 200

    def test_host_serves_on_ipv6(self, folder):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        with ModelHost(folder, bind="::1") as host:
            assert host.url.startswith("http://[::1]:")
            assert ask(host.url, MODEL).status == 200

    def test_host_starts_and_closes_without_a_with_block(self, folder):
        host = ModelHost(folder)
        with pytest.raises(RuntimeError, match="not running"):
            _ = host.url
        host.start()
        url = host.url
        host.start()
        assert host.url == url
        host.close()
        host.close()
        host.start()
        assert ask(host.url, MODEL).status == 200
        host.close()

    def test_closing_ends_connections_that_are_kept_alive(self, folder):
        with ModelHost(folder) as host:
            connection = connect(host.url)
            ask_on(connection, MODEL)
        assert connection.sock.recv(1) == b""
        connection.close()
        with pytest.raises(ConnectionRefusedError):
            connect(f"http://127.0.0.1:{connection.port}").connect()

    @pytest.mark.parametrize(
        ("where", "options", "message"),
        [
            ("missing", {}, "There is no folder .*missing. Give the folder that holds the models."),
            ("models/digits/classifier/1", {}, "is itself a model. Give a folder that holds it"),
            (
                "models",
                {"gcs": {"a/b/1": "s3://x"}},
                "The bucket of 'a/b/1' is 's3://x'. Give a folder that starts with gs://",
            ),
            ("models", {"port": 70000}, "There is no port 70000"),
            ("models", {"bind": "192.0.2.1"}, "Cannot listen on 192.0.2.1 port 0: .*. Give another port"),
            (
                "models",
                {"cache_directory": "models/digits/classifier/1/saved_model.pb"},
                "Cannot keep archives in",
            ),
        ],
    )
    def test_unservable_folder_raises_one_line(self, folder, monkeypatch, where, options, message):
        monkeypatch.chdir(folder.parent)
        with pytest.raises(HostError, match=message) as caught, ModelHost(where, **options):
            pass
        assert "\n" not in str(caught.value)

    def test_port_in_use_raises_one_line(self, host, folder):
        port = int(host.url.rpartition(":")[2])
        with pytest.raises(
            HostError, match=f"Cannot listen on 127.0.0.1 port {port}: Address already in use"
        ):
            ModelHost(folder, port=port).start()
