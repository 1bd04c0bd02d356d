"""Read a SavedModel's signatures, tags and assets without TensorFlow.

`saved_model.pb` is a protocol buffer that may be hundreds of megabytes, nearly all of it the graph. The few
fields wanted here are met on a walk that seeks past the others, so time and memory do not grow with the
graph. The file comes from anywhere: nothing in it is trusted. Source of the field numbers:
`saved_model.proto`, `meta_graph.proto`, `tensor_shape.proto` and `types.proto` of TensorFlow 2.21, which
promises never to change them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import DamagedEntryError
from ..facts import Fact
from .files import open_plain

# What a file may cost, far above any real model.
_MOST_FIELDS = 500_000
_MOST_TEXT = 4_000_000
_LONGEST_TEXT = 4096


class Span(NamedTuple):
    """Where a field's content lies in the file, in bytes."""

    start: int
    end: int


class NotReadableError(Exception):
    """The bytes are no protocol buffer, or cost more than any real model."""


class Walk:
    """A walk over the fields of a protocol buffer in a file.

    Attributes:
        whole: where the buffer lies: all of the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._fields_left = _MOST_FIELDS
        self._text_left = _MOST_TEXT
        self.whole = Span(0, os.fstat(file.fileno()).st_size)

    def fields(self, span: Span) -> Iterator[tuple[int, int | Span]]:
        """Number and value of each field: a number for a varint, for all others where the content lies."""
        position = span.start
        while position < span.end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise NotReadableError("it has too many parts for a model")
            self._file.seek(position)
            key = self._varint()
            number, wire = key >> 3, key & 7
            value: int | Span
            if wire == 0:
                value = self._varint()
                position = self._file.tell()
            elif wire in {1, 2, 5}:
                length = self._varint() if wire == 2 else (8 if wire == 1 else 4)
                start = self._file.tell()
                position = start + length
                value = Span(start, position)
            else:
                raise NotReadableError("it is not a protocol buffer")
            if number == 0 or position > span.end:
                raise NotReadableError("it is truncated, or not a protocol buffer")
            yield number, value

    def messages(self, span: Span, wanted: int) -> Iterator[Span]:
        """Where the fields with this number lie."""
        for number, value in self.fields(span):
            if number == wanted and isinstance(value, Span):
                yield value

    def text(self, span: Span) -> str:
        """The text that lies there; one that is longer than any real name is cut."""
        length = min(span.end - span.start, _LONGEST_TEXT)
        self._text_left -= length
        if self._text_left < 0:
            raise NotReadableError("it has too many names for a model")
        self._file.seek(span.start)
        return self._file.read(length).decode(errors="replace")

    def text_in(self, span: Span, wanted: int) -> str:
        """The text in the last field with this number, or ""."""
        found = None
        for found in self.messages(span, wanted):  # noqa: B007 - a later field replaces an earlier one
            pass
        return self.text(found) if found else ""

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):
            byte = self._file.read(1)
            if not byte:
                raise NotReadableError("it is truncated")
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF
        raise NotReadableError("it is not a protocol buffer")


# `DataType` in types.proto, from 1 on.
# fmt: off
_DTYPES = (
    "float32", "float64", "int32", "uint8", "int16", "int8", "string", "complex64", "int64", "bool",
    "qint8", "quint8", "qint32", "bfloat16", "qint16", "quint16", "uint16", "complex128", "float16",
    "resource", "variant", "uint32", "uint64", "float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz",
    "float8_e4m3b11fnuz", "float8_e5m2fnuz", "int4", "uint4", "int2", "uint2", "float4_e2m1fn",
)
# fmt: on
_REFERENCE = 100  # added to the number of a type for a reference to it, as TF1 variables are

# Field numbers.
_META_GRAPHS = 2
_META_INFO, _SAVER, _COLLECTIONS, _SIGNATURES, _ASSETS, _OBJECT_GRAPH = 1, 3, 4, 5, 6, 7
_TAGS, _TENSORFLOW_VERSION = 4, 5
_KEY, _VALUE = 1, 2
_INPUTS, _OUTPUTS = 1, 2
_DTYPE, _SHAPE, _COMPOSITE = 2, 3, 5
_TYPE_SPEC, _COMPONENTS, _SPARSE = 1, 2, 1
_DIMENSION, _UNKNOWN_RANK = 2, 3
_DIMENSION_SIZE = 1
_FILENAME = 2
_ANY_LIST, _ANY, _PACKED = 5, 1, 2

# Parts of each kind that the outline looks at.
_FIRST = 1000
# Signatures that TensorFlow adds for itself.
_INTERNAL = "__saved_model_"
# Where TF1 keeps the assets.
_ASSETS_COLLECTION = "saved_model_assets"


@dataclass(frozen=True, slots=True)
class TensorFact(Fact):
    """An input or output of a signature.

    Attributes:
        name: what the signature calls it.
        dtype: as TensorFlow writes it, "float32"; "" for one not known here.
        shape: the size of each dimension, None where any size goes; None when not even the rank is fixed.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class Signature(Fact):
    """A function that a model offers by name; tensors in the order of their names."""

    name: str
    inputs: tuple[TensorFact, ...]
    outputs: tuple[TensorFact, ...]


@dataclass(frozen=True, slots=True)
class SavedModelFacts(Fact):
    """What a SavedModel says of itself.

    Attributes:
        signatures: of the graph that `hub.load` takes, in the order of their names.
        tags: of each graph in the file; TF2 models have one, tagged "serve".
        is_tf2: whether it is a TF2 SavedModel, which has an object graph.
        assets: names of the files in `assets/` that the model reads.
        tensorflow: the version that wrote it, or "".
    """

    signatures: tuple[Signature, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()
    is_tf2: bool = False
    assets: tuple[str, ...] = ()
    tensorflow: str = ""


@dataclass(slots=True)
class _Graph:
    """One graph of the file, while it is being read."""

    tags: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()
    assets: tuple[str, ...] = ()
    has_objects: bool = False
    tensorflow: str = ""


def read_saved_model(path: str | os.PathLike[str]) -> SavedModelFacts:
    """What the SavedModel in this directory says of itself.

    Raises:
        DamagedEntryError: `saved_model.pb` is truncated, or holds something else.
        OSError: there is no `saved_model.pb` (`saved_model.pbtxt` is not read), or it cannot be read.
    """
    file_path = Path(path) / "saved_model.pb"
    try:
        return read_graphs(str(file_path))
    except NotReadableError as error:
        raise DamagedEntryError(f"{file_path} is not a readable SavedModel: {error}.") from None


def read_graphs(path: str) -> SavedModelFacts:
    """What the file `saved_model.pb` at this path says.

    Raises:
        NotReadableError: it is truncated, or holds something else.
        OSError: it cannot be read.
    """
    with open(path, "rb", opener=open_plain) as file:
        walk = Walk(file)
        graphs = [_graph(walk, span) for span in walk.messages(walk.whole, _META_GRAPHS)]
    if not graphs:
        raise NotReadableError("it contains no graph")
    # tensorflow_hub takes the graph without tags of a model in the TF1 Hub format, and "serve" of any other.
    served = next((g for tags in ((), ("serve",)) for g in graphs if g.tags == tags), graphs[0])
    return SavedModelFacts(
        served.signatures,
        tuple(graph.tags for graph in graphs),
        len(graphs) == 1 and served.has_objects,
        served.assets,
        served.tensorflow,
    )


@dataclass(frozen=True, slots=True)
class Outline:
    """What the outermost parts of `saved_model.pb` ask for.

    Attributes:
        has_variables: whether there must be a checkpoint.
        assets: names of files that must be in `assets/`; those of TF1 models are not among them.
    """

    has_variables: bool
    assets: tuple[str, ...]


def read_outline(path: str) -> Outline:
    """What the file `saved_model.pb` at this path asks for, in a few microseconds for each graph.

    Raises:
        NotReadableError: it is truncated, or holds something else.
        OSError: it cannot be read.
    """
    has_variables = False
    assets = []
    with open(path, "rb", buffering=512, opener=open_plain) as file:
        walk = Walk(file)
        for graph in islice(walk.messages(walk.whole, _META_GRAPHS), _FIRST):
            for number, value in islice(walk.fields(graph), _FIRST):
                if number in {_SAVER, _OBJECT_GRAPH}:
                    has_variables = True
                elif number == _ASSETS and isinstance(value, Span):
                    assets.append(walk.text_in(value, _FILENAME))
    return Outline(has_variables, tuple(assets))


def _graph(walk: Walk, span: Span) -> _Graph:
    graph = _Graph()
    signatures: list[Signature] = []
    assets: list[str] = []
    for number, value in walk.fields(span):
        if not isinstance(value, Span):
            continue
        if number == _META_INFO:
            graph.tags = tuple(sorted(walk.text(tag) for tag in walk.messages(value, _TAGS)))
            graph.tensorflow = walk.text_in(value, _TENSORFLOW_VERSION)
        elif number == _SIGNATURES:
            name = walk.text_in(value, _KEY)
            if not name.startswith(_INTERNAL):
                signatures.append(_signature(walk, name, value))
        elif number == _COLLECTIONS:
            assets.extend(_collected_assets(walk, value))
        elif number == _ASSETS:
            assets.append(walk.text_in(value, _FILENAME))
        elif number == _OBJECT_GRAPH:
            graph.has_objects = True
    if not graph.has_objects and _WRITES_NO_SHAPES.match(graph.tensorflow):
        signatures = [_with_any_shapes(signature) for signature in signatures]
    graph.signatures = tuple(sorted(signatures, key=lambda signature: signature.name))
    graph.assets = tuple(sorted(set(assets)))
    return graph


# Of these versions an empty shape is no scalar's: it was not known (GraphDef versions before 24).
_WRITES_NO_SHAPES = re.compile(r"(0\.|1\.[0-2](\D|$))")


def _with_any_shapes(signature: Signature) -> Signature:
    inputs, outputs = (
        tuple(replace(tensor, shape=tensor.shape or None) for tensor in tensors)
        for tensors in (signature.inputs, signature.outputs)
    )
    return Signature(signature.name, inputs, outputs)


def _collected_assets(walk: Walk, entry: Span) -> Iterator[str]:
    """The assets in this entry of the collections, as TF1 lists them."""
    if walk.text_in(entry, _KEY) != _ASSETS_COLLECTION:
        return
    for collection in walk.messages(entry, _VALUE):
        for any_list in walk.messages(collection, _ANY_LIST):
            for any_value in walk.messages(any_list, _ANY):
                for asset in walk.messages(any_value, _PACKED):
                    yield walk.text_in(asset, _FILENAME)


def _signature(walk: Walk, name: str, entry: Span) -> Signature:
    tensors: dict[int, list[TensorFact]] = {_INPUTS: [], _OUTPUTS: []}
    for definition in walk.messages(entry, _VALUE):
        for number, value in walk.fields(definition):
            if number in tensors and isinstance(value, Span):
                tensors[number].append(_tensor(walk, value))
    inputs, outputs = (
        tuple(sorted(tensors[number], key=lambda tensor: tensor.name)) for number in (_INPUTS, _OUTPUTS)
    )
    return Signature(name, inputs, outputs)


def _tensor(walk: Walk, entry: Span) -> TensorFact:
    dtype = 0
    shape: tuple[int | None, ...] | None = None
    for info in walk.messages(entry, _VALUE):
        for number, value in walk.fields(info):
            if number == _DTYPE and isinstance(value, int):
                dtype = value
            elif number == _SHAPE and isinstance(value, Span):
                shape = _shape(walk, value)
            elif number == _COMPOSITE and isinstance(value, Span):
                dtype = _values_dtype(walk, value)
    number = dtype - _REFERENCE if dtype > _REFERENCE else dtype
    known = 0 < number <= len(_DTYPES)
    return TensorFact(walk.text_in(entry, _KEY), _DTYPES[number - 1] if known else "", shape)


def _values_dtype(walk: Walk, span: Span) -> int:
    """The type of a composite tensor's values: the first part of a ragged one, the second of a sparse one."""
    kind = 0
    dtypes = []
    for number, value in walk.fields(span):
        if number == _TYPE_SPEC and isinstance(value, Span):
            kind = _number_in(walk, value, 1)
        elif number == _COMPONENTS and isinstance(value, Span):
            dtypes.append(_number_in(walk, value, _DTYPE))
    place = 1 if kind == _SPARSE else 0
    return dtypes[place] if place < len(dtypes) else 0


def _number_in(walk: Walk, span: Span, wanted: int) -> int:
    """The number in the first field with this number; 0 without one."""
    found = (value for number, value in walk.fields(span) if number == wanted)
    return next((value for value in found if isinstance(value, int)), 0)


def _shape(walk: Walk, span: Span) -> tuple[int | None, ...] | None:
    dimensions: list[int | None] = []
    for number, value in walk.fields(span):
        if number == _UNKNOWN_RANK and value:
            return None
        if number == _DIMENSION and isinstance(value, Span):
            sizes = [size for field, size in walk.fields(value) if field == _DIMENSION_SIZE]
            size = sizes[-1] if sizes else 0
            # -1, any size, is written as the largest unsigned numbers are.
            dimensions.append(size if isinstance(size, int) and size < 1 << 63 else None)
    return tuple(dimensions)
