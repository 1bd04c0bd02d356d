"""What `%hub_cache gs://...` does before it sets a bucket: see that it can be used."""

from __future__ import annotations

import os

from ..locations import is_bucket, read_location


def check_location(text: str) -> None:
    """See that a location in a bucket can be used as the cache; say who else must be able to read it.

    Raises:
        SettingError: it cannot be used.
    """
    if text == "default" or not is_bucket(location := read_location(text, os.environ)):
        return
    from ..gcs import require_bucket
    from ..runtime import detect_runtime

    access = require_bucket(location, runtime=detect_runtime())
    if access.reader:
        print(f"The worker reads {location} as {access.reader}; give it roles/storage.objectViewer.")  # noqa: T201
