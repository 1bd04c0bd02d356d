"""Small models for tests: each function writes one into a directory, always with the same numbers.

`make_model` writes a model of a kind of `KINDS`, and `load` loads it as a notebook would, so that a test can
compare a worker's numbers with the host's. TensorFlow is imported inside the functions: a test file may import
this module without it.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from pathlib import Path

WIDTH = 4
WORDS = ("hub", "magic", "worker", "notebook")
KINDS = (
    "tf2_plain",
    "tf2_vocabulary",
    "tf2_sharded",
    "tf1_hub",
    "tf1_hub_plain",
    "tf2_reusable",
    "keras_with_layer",
)


def make_model(kind: str, root: Path) -> None:
    """Write the model of this kind into `root/KIND`; `keras_with_layer` needs `tf2_vocabulary` there."""
    if kind == "tf1_hub_plain":
        tf1_hub(root / kind, vocabulary=False)
    elif kind == "keras_with_layer":
        keras_with_layer(root / kind, root / "tf2_vocabulary")
    else:
        globals()[kind](root / kind)


def load(kind, directory, options=None):
    """Load a model of this kind as a notebook would, and return a function that computes its answer, a tensor.

    `tf2_reusable` goes through hub.KerasLayer, `keras_with_layer` through Keras, all others through hub.load.
    Each kind has its own input.

    Args:
        kind: one of KINDS.
        directory: the model's directory, or its handle.
        options: a tf.saved_model.LoadOptions, or None.
    """
    import tensorflow as tf
    import tensorflow_hub as hub

    handle = str(directory)
    if kind == "keras_with_layer":
        import tf_keras

        model = tf_keras.models.load_model(hub.resolve(handle), options=options)
    elif kind == "tf2_reusable":
        model = functools.partial(hub.KerasLayer(handle, load_options=options, trainable=True), training=True)
    else:
        model = hub.load(handle, options=options)

    def answer():
        takes_words = kind in {"tf2_vocabulary", "tf1_hub", "keras_with_layer"}
        x = (
            tf.constant(["magic", "?", "hub"])
            if takes_words
            else tf.reshape(tf.range(2.0 * WIDTH), (2, WIDTH))
        )
        return model.signatures["default"](x)["default"] if kind.startswith("tf1") else model(x)

    return answer


def tf2_plain(directory: Path) -> None:
    """Write a TF2 model of one matrix and no assets: `model(x)` for x of shape (n, 4), in floats."""
    import tensorflow as tf

    class Plain(tf.Module):
        def __init__(self):
            super().__init__()
            self.matrix = tf.Variable(_numbers((WIDTH, WIDTH)), name="matrix")

        @tf.function(input_signature=[tf.TensorSpec((None, WIDTH), tf.float32)])
        def __call__(self, x):
            return tf.linalg.matmul(x, self.matrix)

    tf.saved_model.save(Plain(), str(directory))


def tf2_vocabulary(directory: Path) -> None:
    """Write a TF2 model with a vocabulary file: `model(words)` for a string vector returns (n, 4) floats."""
    import tensorflow as tf

    class Vocabulary(tf.Module):
        def __init__(self, path):
            super().__init__()
            self.table = _table(path)
            self.embedding = tf.Variable(_numbers((len(WORDS) + 1, WIDTH)), name="embedding")

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
        def __call__(self, words):
            return tf.gather(self.embedding, self.table.lookup(words))

    with _vocabulary() as path:
        tf.saved_model.save(Vocabulary(path), str(directory))


def tf1_hub(directory: Path, *, vocabulary: bool = True) -> None:
    """Write a model in the TF1 Hub format, as hub.ModuleSpec.export wrote it: `model.signatures["default"]`.

    With `vocabulary` it takes a string vector, else floats of shape (n, 4); the output is called "default".
    tensorflow_hub 0.16 can no longer write this format, so the function builds its parts: a
    SavedModel without an object graph, its graphs tagged with the empty set and with "train", and
    `tfhub_module.pb`.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(directory))
    for tags in ([], ["train"]):
        with _vocabulary() as path, tf.Graph().as_default(), v1.Session() as session:
            matrix = v1.get_variable(
                "embedding", initializer=_numbers((len(WORDS) + 1, WIDTH)), use_resource=True
            )
            if vocabulary:
                inputs = v1.placeholder(tf.string, (None,))
                file = tf.constant(path)
                v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, file)
                outputs = tf.gather(matrix, _table(file).lookup(inputs))
            else:
                inputs = v1.placeholder(tf.float32, (None, WIDTH))
                outputs = tf.linalg.matmul(inputs, matrix[:WIDTH])
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            graph = {
                "signature_def_map": {
                    "default": v1.saved_model.predict_signature_def({"default": inputs}, {"default": outputs})
                },
                "assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
                "main_op": v1.tables_initializer(),
            }
            if tags:
                builder.add_meta_graph(tags, **graph)
            else:
                builder.add_meta_graph_and_variables(session, tags, **graph)
    builder.save()
    # ModuleDef of tensorflow_hub's module_def.proto: field 1, `format`, is FORMAT_V3.
    (directory / "tfhub_module.pb").write_bytes(b"\x08\x03")


def tf2_reusable(directory: Path) -> None:
    """Write a TF2 model for hub.KerasLayer, trainable, with a regularization loss: (n, 4) floats to (n, 4)."""
    import tensorflow as tf

    matrix = tf.Variable(_numbers((WIDTH, WIDTH)), name="matrix")

    @tf.function
    def call(x, training=False):
        return tf.linalg.matmul(x, matrix) * (2.0 if training else 1.0)

    @tf.function(input_signature=())
    def loss():
        return tf.reduce_sum(tf.square(matrix)) / 4

    for training in (False, True):
        call.get_concrete_function(tf.TensorSpec((None, WIDTH), tf.float32), training=training)
    model = tf.train.Checkpoint(matrix=matrix)
    model.__call__ = call
    model.variables = model.trainable_variables = [matrix]
    model.regularization_losses = [loss]
    tf.saved_model.save(model, str(directory))


def keras_with_layer(directory: Path, inner: Path) -> None:
    """Write a Keras model (tf_keras) as a SavedModel, with `hub.KerasLayer(inner)` and a Dense layer in it.

    `inner` is a folder of `tf2_vocabulary` or `tf2_reusable`. The Keras model takes the same inputs.
    """
    import tensorflow as tf
    import tensorflow_hub as hub
    import tf_keras

    layer = hub.KerasLayer(str(inner))
    strings = any((inner / "assets").glob("*"))
    model = tf_keras.Sequential(
        [
            tf_keras.layers.InputLayer((), dtype=tf.string)
            if strings
            else tf_keras.layers.InputLayer((WIDTH,)),
            layer,
            tf_keras.layers.Dense(1, kernel_initializer=tf_keras.initializers.Constant(0.25)),
        ]
    )
    model.save(str(directory), save_format="tf")


def tf2_sharded(directory: Path, *, shards: int = 3) -> None:
    """Write a TF2 model like `tf2_plain`, with a checkpoint of several data files, one for each of `shards` matrices.

    Needs TensorFlow 2.17, the first in which callers choose how a checkpoint is split.
    """
    import tensorflow as tf

    class Sharded(tf.Module):
        def __init__(self):
            super().__init__()
            self.matrices = [tf.Variable(_numbers((WIDTH, WIDTH)), name=f"matrix_{i}") for i in range(shards)]

        @tf.function(input_signature=[tf.TensorSpec((None, WIDTH), tf.float32)])
        def __call__(self, x):
            return tf.linalg.matmul(x, tf.add_n(self.matrices))

    policy = tf.train.experimental.MaxShardSizePolicy(WIDTH * WIDTH * 4)
    options = tf.saved_model.SaveOptions(experimental_sharding_callback=policy)
    tf.saved_model.save(Sharded(), str(directory), options=options)


def _numbers(shape):
    """Return floats that no rounding changes, so that two devices agree on every sum of a few of them."""
    import numpy as np

    return np.random.default_rng(0).integers(-8, 8, shape).astype(np.float32) / 4


def _table(path):
    """Return a table from each word of the file to its line number; unknown words share the next number."""
    import tensorflow as tf

    whole_line, line_number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    initializer = tf.lookup.TextFileInitializer(path, tf.string, whole_line, tf.int64, line_number)
    return tf.lookup.StaticVocabularyTable(initializer, 1)


@contextlib.contextmanager
def _vocabulary():
    """Yield the path of a vocabulary file that exists while a model is saved: the model keeps a copy."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "vocab.txt"
        path.write_text("".join(f"{word}\n" for word in WORDS))
        yield str(path)
