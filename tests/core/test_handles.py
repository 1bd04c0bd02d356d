"""Handles taken apart."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub_magic import HandleError, parse_handle


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://tfhub.dev/google/nnlm-en-dim128/2", ("http", "google", "nnlm-en-dim128", "2")),
        ("https://tfhub.dev/google/imagenet/mobilenet_v2/classification/5", ("http", "google", "imagenet/mobilenet_v2/classification", "5")),
        ("https://tfhub.dev/google/nnlm-en-dim128", ("http", "google", "nnlm-en-dim128", "")),
        ("https://tfhub.dev/google/nnlm-en-dim128/2/", ("http", "google", "nnlm-en-dim128", "2")),
        ("https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim128/1", ("http", "google", "nnlm/en-dim128", "1")),
        (
            "https://kaggle.com/models/google/nnlm/frameworks/TensorFlow2/variations/en-dim128/versions/1",
            ("http", "google", "nnlm/en-dim128", "1"),
        ),
        ("https://www.kaggle.com/models/google/nnlm", ("http", "google", "nnlm", "")),
        ("https://example.com/module.tar.gz", ("http", "example.com", "module", "")),
        ("https://example.com", ("http", "example.com", "https://example.com", "")),
        ("http://127.0.0.1:8080/demo/digits/1", ("http", "demo", "digits", "1")),
        ("gs://bucket/models/nnlm/3", ("gs", "bucket", "nnlm", "3")),
        ("/srv/models/nnlm/3", ("path", "", "nnlm", "3")),
        ("models\\nnlm", ("path", "", "nnlm", "")),
    ],
)  # fmt: skip
def test_handle_is_parsed_into_its_parts(text: str, parts: tuple[str, str, str, str]) -> None:
    handle = parse_handle(text)
    assert (handle.kind, handle.publisher, handle.name, handle.version) == parts
    assert handle.folder == hashlib.sha1(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" https://tfhub.dev/a/b/1", "spaces or control characters"),
        ("https://tfhub.dev/a\u202e/b/1", "spaces or control characters"),
        ("https://tfhub.dev/a b/1", "Write it as %20"),
        ("s3://bucket/model", "starts with s3://"),
        ("https:///model", "contains no host"),
        ("https://[::1/model", "is not a URL"),
        ("https://host:port/model", "is not a URL"),
    ],
)
def test_text_that_is_no_handle_raises_one_line(text: str, message: str) -> None:
    with pytest.raises(HandleError, match=message) as caught:
        parse_handle(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "https://tfhub.dev/google/nnlm/2",
            "https://tfhub.dev/google/nnlm/2/",
            "http://TFHUB.dev/google/nnlm/2",
        ),
        (
            "https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim128/1",
            "https://kaggle.com/models/google/nnlm/TensorFlow2/en-dim128/1/",
            "https://kaggle.com/models/google/nnlm/frameworks/TensorFlow2/variations/en-dim128/versions/1",
        ),
        ("/srv/model", "/srv/model/"),
    ],
)
def test_spellings_of_one_model_share_a_canonical_form(spellings: tuple[str, ...]) -> None:
    assert len({parse_handle(text).canonical for text in spellings}) == 1
    assert len({parse_handle(text).folder for text in spellings}) == len(spellings)


@given(st.text())
@example("/")
@example("//")
def test_any_text_is_a_handle_or_a_handle_error(text: str) -> None:
    try:
        handle = parse_handle(text)
    except HandleError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most texts are no handles
    else:
        assert handle.name
        assert handle.canonical == parse_handle(handle.canonical).canonical
