"""What the magics do before they set a bucket: see that it can be used."""

from __future__ import annotations

import os

from ..errors import SettingError
from ..locations import is_bucket, read_location
from .saved import SavedSettings


def check_location(text: str) -> None:
    """See that a location in a bucket can be used as the cache; say who else must be able to read it.

    Raises:
        SettingError: it cannot be used.
    """
    if text == "default" or not is_bucket(location := read_location(text, os.environ)):
        return
    from ..gcs import require_bucket
    from ..progress import with_bar
    from ..runtime import detect_runtime

    runtime = detect_runtime()
    access = with_bar(f"Asking for {location}", lambda _count: require_bucket(location, runtime=runtime))
    if access.reader:
        print(f"The worker reads {location} as {access.reader}. {access.reader_remedy}")  # noqa: T201


def keep_bucket(text: str | None, saved: SavedSettings) -> str:
    """Save the bucket that models for a remote worker are cached in; gives its location.

    Raises:
        SettingError: none was given, or it cannot be used.
    """
    if not text:
        raise SettingError("--persist saves the bucket. Give it as well: --bucket gs://BUCKET/PATH.")
    location = read_location(text, os.environ)
    if not is_bucket(location):
        raise SettingError(f"--bucket {text!r} is not a bucket's address. Write it as gs://BUCKET/PATH.")
    check_location(location)
    saved.save("bucket", location)
    return location
