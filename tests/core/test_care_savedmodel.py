"""What is read from `saved_model.pb`: the same as TensorFlow reads, and nothing from a hostile file."""

from __future__ import annotations

import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from fork_server import run_python
from hypothesis import given
from hypothesis import strategies as st
from saved_models import saved_model

from hub_magic import DamagedEntryError
from hub_magic.cache.savedmodel import NotReadableError, SavedModelFacts, read_outline, read_saved_model


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name: str, dtype: int, *sizes: int) -> bytes:
    shape = b"".join(field(2, field(1, size)) for size in sizes)
    return field(1, name.encode()) + field(2, field(1, b"it:0") + field(2, dtype) + field(3, shape))


def model(*, graph: bytes = b"", objects: bool = True) -> bytes:
    """A SavedModel with one signature, one asset and a graph of any size."""
    signature = field(1, tensor("images", 1, -1, 28, 28)) + field(2, tensor("digits", 9, -1))
    meta = field(1, field(4, b"serve") + field(5, b"2.21.0"))
    meta += field(2, graph) + field(5, field(1, b"serving_default") + field(2, signature))
    meta += field(5, field(1, b"__saved_model_init_op") + field(2, b""))
    meta += field(6, field(2, b"vocab.txt")) + (field(7, b"") if objects else b"")
    return field(1, 1) + field(2, meta)


def write(directory: Path, content: bytes) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "saved_model.pb").write_bytes(content)
    return directory


def as_text(facts: SavedModelFacts) -> list[str]:
    return [
        f"{s.name}({', '.join(f'{t.name}: {t.dtype}{t.shape}' for t in s.inputs)})"
        f" -> {', '.join(f'{t.name}: {t.dtype}{t.shape}' for t in s.outputs)}"
        for s in facts.signatures
    ]


def test_saved_model_signatures_tags_and_assets_are_read(tmp_path) -> None:
    facts = read_saved_model(write(tmp_path / "it", model()))
    assert as_text(facts) == ["serving_default(images: float32(None, 28, 28)) -> digits: int64(None,)"]
    assert (facts.tags, facts.is_tf2, facts.assets) == ((("serve",),), True, ("vocab.txt",))
    assert facts.tensorflow == "2.21.0"
    assert not read_saved_model(write(tmp_path / "it", model(objects=False))).is_tf2


def test_unknown_ranks_scalars_and_reference_types_are_read(tmp_path) -> None:
    unknown = field(1, b"a") + field(2, field(2, 101) + field(3, field(3, 1)))
    signature = field(1, unknown) + field(1, tensor("b", 7)) + field(1, tensor("c", 99, 3))
    meta = field(5, field(1, b"f") + field(2, signature))
    facts = read_saved_model(write(tmp_path / "it", field(2, meta)))
    assert as_text(facts) == ["f(a: float32None, b: string(), c: (3,)) -> "]


@pytest.mark.parametrize(
    ("version", "shape"),
    [("1.0.0", "None"), ("1.2.1-rc0", "None"), ("0.12", "None"), ("1.10.0", "()"), ("", "()")],
)
def test_empty_shape_of_an_old_version_is_any(tmp_path, version: str, shape: str) -> None:
    signature = field(1, tensor("x", 1)) + field(2, tensor("y", 1, -1))
    meta = field(5, field(1, b"f") + field(2, signature)) + field(1, field(5, version.encode()))
    facts = read_saved_model(write(tmp_path / "it", field(2, meta)))
    assert as_text(facts) == [f"f(x: float32{shape}) -> y: float32(None,)"]


@pytest.mark.parametrize(
    ("kind", "parts", "dtype"), [(3, (1, 9), "float32"), (1, (9, 7, 9), "string"), (3, (), "")]
)
def test_composite_tensor_has_the_type_of_its_values(
    tmp_path, kind: int, parts: tuple[int, ...], dtype: str
) -> None:
    composite = field(1, field(1, kind)) + b"".join(field(2, field(2, part)) for part in parts)
    signature = field(2, field(1, b"words") + field(2, field(5, composite)))
    meta = field(5, field(1, b"f") + field(2, signature))
    facts = read_saved_model(write(tmp_path / "it", field(2, meta)))
    assert as_text(facts) == [f"f() -> words: {dtype}None"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it contains no graph"),
        (b"\x0f", "it is not a protocol buffer"),
        (b"<!DOCTYPE html><html>", "it is not a protocol buffer"),
        (b"\xff" * 11, "it is not a protocol buffer"),
        (model()[:-5], "it is truncated"),
        (field(2, b"") + varint(2 << 3 | 2) + varint(1 << 62), "it is truncated"),
        (field(2, field(0, 0)), "it is truncated, or not a protocol buffer"),
        (field(2, field(5, field(1, b"x" * 4000)) * 1100), "it has too many names for a model"),
        (field(2, b"\x08\x00" * 600_000), "it has too many parts for a model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_file_that_is_no_saved_model_raises_one_line(tmp_path, content: bytes, message: str) -> None:
    with pytest.raises(DamagedEntryError) as caught:
        read_saved_model(write(tmp_path / "it", content))
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@given(st.binary(max_size=200) | st.tuples(st.integers(0, 200), st.integers(0, 255)))
def test_random_bytes_are_read_or_refused(tmp_path_factory, given_bytes) -> None:
    content = given_bytes
    if isinstance(given_bytes, tuple):
        changed = bytearray(model())
        changed[given_bytes[0] % len(changed)] = given_bytes[1]
        content = bytes(changed)
    directory = write(tmp_path_factory.getbasetemp() / "bytes", content)
    with suppress(DamagedEntryError):
        assert isinstance(read_saved_model(directory), SavedModelFacts)


def test_every_truncation_is_noticed(tmp_path) -> None:
    content = model(graph=b"g" * 300)
    file_path = str(write(tmp_path / "it", content) / "saved_model.pb")
    outline = read_outline(file_path)
    assert (outline.has_variables, outline.assets) == (True, ("vocab.txt",))
    for length in range(3, len(content)):
        write(tmp_path / "it", content[:length])
        with pytest.raises(NotReadableError):
            read_outline(file_path)


def test_graph_of_a_gigabyte_needs_little_memory(tmp_path) -> None:
    size = 1_000_000_000
    head = field(1, field(4, b"serve")) + varint(2 << 3 | 2) + varint(size)
    tail = field(6, field(2, b"vocab.txt"))
    file_path = write(tmp_path / "it", b"") / "saved_model.pb"
    with file_path.open("wb") as file:
        file.write(varint(2 << 3 | 2) + varint(len(head) + size + len(tail)) + head)
        file.seek(size, os.SEEK_CUR)  # a hole: takes no disk
        file.write(tail)
    tracemalloc.start()
    try:
        assert read_saved_model(file_path.parent).assets == ("vocab.txt",)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_no_model_is_an_os_error(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        read_saved_model(tmp_path)


@pytest.mark.tensorflow
def test_saved_model_facts_equal_those_of_tensorflow() -> None:
    code = """
import sys
from pathlib import Path
import tensorflow as tf
from hub_magic.cache.savedmodel import NotReadableError
from hub_magic.cache.savedmodel import read_saved_model

for directory in map(Path, sys.argv[1:]):
    name = directory.name
    facts = read_saved_model(directory)
    assert facts.is_tf2 == (name != "tf1_hub"), facts
    assert facts.assets == (("vocab.txt",) if name in ("tf2_vocabulary", "tf1_hub") else ()), facts
    assert facts.tags == (((), ("train",)) if name == "tf1_hub" else (("serve",),)), facts
    assert facts.tensorflow == tf.__version__
    loaded = tf.saved_model.load(str(directory), tags=[] if name == "tf1_hub" else None)
    assert [s.name for s in facts.signatures] == sorted(loaded.signatures), facts
    for signature in facts.signatures:
        function = loaded.signatures[signature.name]
        for ours, theirs in (
            (signature.inputs, function.structured_input_signature[1]),
            (signature.outputs, function.structured_outputs),
        ):
            assert {t.name: (t.dtype, t.shape) for t in ours} == {
                key: (spec.dtype.name, tuple(spec.shape) if spec.shape.rank is not None else None)
                for key, spec in theirs.items()
            }
    print(name, len(facts.signatures))
"""
    kinds = ("tf2_plain", "tf2_vocabulary", "tf1_hub", "tf2_reusable")
    run = run_python("-c", code, *(str(saved_model(kind)) for kind in kinds))
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["tf2_plain 1", "tf2_vocabulary 1", "tf1_hub 1", "tf2_reusable 0"]
