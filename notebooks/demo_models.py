"""The models of the demo, made here in seconds: real data, no internet, the same numbers on every run.

    demo/digits/1     handwritten digits, one linear layer
    demo/digits/2     the same with two convolutions, and better
    demo/words/1      what a sentence is about, with a vocabulary file among its assets
    demo/mobilenet/1  MobileNetV2 with random weights, for its size of 15 MB

`python demo_models.py DIRECTORY` makes them. The data ship with scikit-learn: the digits of `load_digits`
(UCI, CC BY 4.0) and the descriptions of its data sets (BSD-3-Clause).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from collections import Counter
from math import log
from pathlib import Path
from typing import Any

SEED = 2026
UNSEEN = slice(None, None, 4)  # every fourth digit is kept from the digit models
_MADE_BY = ".made_by"


def make_models(directory: Path) -> Path:
    """Make all models as `demo/NAME/VERSION` below the directory, unless they are there.

    What is there and was made by another version of this file is made anew. The directory appears when it is
    complete, or not at all.
    """
    source = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    made_by = directory / _MADE_BY
    if made_by.is_file() and made_by.read_text() == source:
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{directory.name}_", dir=directory.parent) as unfinished:
        models = Path(unfinished, "models")
        for version, hidden in (("1", False), ("2", True)):
            _save_image_model(train_digits(hidden=hidden), (8, 8), models / "demo/digits" / version)
        save_words(models / "demo/words/1")
        _save_image_model(build_mobilenet(), (96, 96, 3), models / "demo/mobilenet/1")
        (models / _MADE_BY).write_text(source)
        if directory.exists():
            shutil.rmtree(directory)
        models.rename(directory)
    return directory


def train_digits(*, hidden: bool) -> Any:
    """A Keras model from (n, 8, 8) floats, 0 for paper to 1 for ink, to (n, 10) scores.

    Args:
        hidden: with two convolutions and a hidden layer, instead of a linear layer alone.
    """
    import numpy as np
    import tf_keras
    from sklearn.datasets import load_digits

    tf_keras.utils.set_random_seed(SEED)
    layers = tf_keras.layers
    between = (
        layers.Reshape((8, 8, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.Conv2D(32, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
    )
    model = tf_keras.Sequential(
        [layers.Input((8, 8)), *(between if hidden else (layers.Flatten(),)), layers.Dense(10)]
    )
    model.compile(
        tf_keras.optimizers.Adam(0.003 if hidden else 0.02),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    digits = load_digits()
    seen = np.ones(len(digits.images), dtype=bool)
    seen[UNSEEN] = False
    images = digits.images[seen].astype(np.float32) / 16
    model.fit(images, digits.target[seen], epochs=10 if hidden else 20, verbose=0)
    return model


def build_mobilenet() -> Any:
    """A Keras model from (n, 96, 96, 3) floats in -1 to 1 to (n, 1000) scores, which mean nothing."""
    import tf_keras

    tf_keras.utils.set_random_seed(SEED)
    return tf_keras.applications.MobileNetV2((96, 96, 3), weights=None)


def save_words(directory: Path) -> None:
    """Count words in scikit-learn's descriptions of its data sets, and save a naive Bayes classifier.

    `model(sentences)` for a string vector of n gives `{"topic": n strings, "probability": n floats}`.
    """
    import numpy as np
    import tensorflow as tf
    from sklearn import datasets

    topics = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
    counts = {topic: Counter(_words(getattr(datasets, f"load_{topic}")().DESCR)) for topic in topics}
    vocabulary = sorted(set().union(*counts.values()))
    absent = 0.1  # what a word counts in a topic that does not use it
    weights = np.zeros((len(vocabulary) + 1, len(topics)), np.float32)  # the last row: all other words
    for column, topic in enumerate(topics):
        total = sum(counts[topic].values()) + absent * len(vocabulary)
        weights[:-1, column] = [log((counts[topic][word] + absent) / total) for word in vocabulary]

    model = tf.Module()
    model.weights = tf.Variable(weights, name="weights")
    with tempfile.TemporaryDirectory() as folder:
        line = tf.lookup.TextFileIndex
        file = Path(folder, "vocabulary.txt")
        file.write_text("".join(f"{word}\n" for word in vocabulary))
        model.table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(str(file), tf.string, line.WHOLE_LINE, tf.int64, line.LINE_NUMBER),
            num_oov_buckets=1,
        )

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="sentences")])
        def classify(sentences: Any) -> dict[str, Any]:
            letters = tf.strings.regex_replace(tf.strings.lower(sentences), "[^a-z]+", " ")
            rows = tf.ragged.map_flat_values(model.table.lookup, tf.strings.split(letters))
            scores = tf.ragged.map_flat_values(lambda row: tf.gather(model.weights, row), rows)
            probabilities = tf.nn.softmax(tf.reduce_sum(scores, axis=1))
            return {
                "topic": tf.gather(tf.constant(topics), tf.argmax(probabilities, axis=1)),
                "probability": tf.reduce_max(probabilities, axis=1),
            }

        model.__call__ = classify
        tf.saved_model.save(model, str(directory), signatures=classify)


def _words(text: str) -> list[str]:
    return re.findall("[a-z]+", text.lower())


def _save_image_model(model: Any, shape: tuple[int, ...], directory: Path) -> None:
    """Save a Keras model as `model(images)`, for hub.load as well as for hub.KerasLayer.

    A model saved by Keras itself holds a function for each layer; this holds one, which is quick to save.
    """
    import tensorflow as tf

    served = tf.Module()
    served.weights = model.weights

    @tf.function(input_signature=[tf.TensorSpec((None, *shape), tf.float32, name="images")])
    def score(images: Any) -> Any:
        return model(images, training=False)

    served.__call__ = score
    tf.saved_model.save(served, str(directory), signatures=score)


if __name__ == "__main__":
    print(make_models(Path(sys.argv[1])))
