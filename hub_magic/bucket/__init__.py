"""A cache in a bucket of Google Cloud Storage: the same entries as in a directory, under the same names."""
