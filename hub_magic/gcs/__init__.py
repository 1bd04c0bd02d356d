"""Google Cloud Storage: whether this kernel may use a bucket, and what is in it.

google-cloud-storage takes a second to import, so it is imported at the first request to a bucket.
"""

from .access import BucketAccess, check_bucket, require_bucket
from .folder import LARGEST_BATCH, BucketFolder, open_folder
from .objects import BucketFile, Copying, local_checksum
from .transfer import MOST_PIECES, copy_between, download, join, upload

__all__ = [
    "LARGEST_BATCH",
    "MOST_PIECES",
    "BucketAccess",
    "BucketFile",
    "BucketFolder",
    "Copying",
    "check_bucket",
    "copy_between",
    "download",
    "join",
    "local_checksum",
    "open_folder",
    "require_bucket",
    "upload",
]
