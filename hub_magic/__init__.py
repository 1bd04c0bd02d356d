"""TensorFlow Hub in notebooks."""
