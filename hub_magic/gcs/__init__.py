"""Google Cloud Storage: may this kernel use a bucket, and what is in it.

google-cloud-storage takes a second to import, so it is imported when a bucket is first asked.
"""

from .access import BucketAccess, check_bucket, require_bucket
from .folder import BucketFile, BucketFolder, open_folder

__all__ = ["BucketAccess", "BucketFile", "BucketFolder", "check_bucket", "open_folder", "require_bucket"]
