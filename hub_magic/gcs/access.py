"""May this kernel cache models in a bucket? Asked before a bucket is set, without writing anything."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

from ..errors import SettingError
from ..facts import Fact
from ..locations import read_location
from ..runtime import Runtime
from .connection import open_folder
from .folder import BucketFolder
from .identity import Identity, first_line
from .refusals import ASK_OWNER, BucketError, refusals_in_words
from .worker_account import find_reader

# What each act takes: replacing an object is deleting it, too, and a lock is changed while it is held.
_NEEDED = {
    "listed": {"storage.objects.list"},
    "read": {"storage.objects.get"},
    "written": {"storage.objects.create", "storage.objects.update"},
    "cleared": {"storage.objects.delete"},
}


@dataclass(frozen=True, slots=True)
class BucketAccess(Fact):
    """What this kernel may do with a bucket.

    Attributes:
        location: the `gs://` location.
        identity: who asks.
        can_list, can_read, can_write, can_delete: what that identity may do.
        reader: who must be able to read it besides, where a worker elsewhere reads for itself; else "".
        reader_remedy: how to let them.
        problem: why TensorFlow in this process cannot use it, and what to do; "" when nothing speaks against.
    """

    location: str
    identity: Identity
    can_list: bool
    can_read: bool
    can_write: bool
    can_delete: bool
    reader: str = ""
    reader_remedy: str = ""
    problem: str = ""
    derived: ClassVar[tuple[str, ...]] = ("refusal",)

    @property
    def refusal(self) -> str:
        """Why models cannot be cached there, and what to do; "" when they can."""
        granted = (self.can_list, self.can_read, self.can_write, self.can_delete)
        lacking = [act for act, can in zip(_NEEDED, granted, strict=True) if not can]
        if lacking:
            return f"{self.location} may not be {' or '.join(lacking)} by {self.identity}. {ASK_OWNER}"
        return self.problem


def check_bucket(location: str, *, runtime: Runtime | None = None) -> BucketAccess:
    """What this kernel may do with a bucket. Nothing is written; an answer takes seconds at most.

    Args:
        location: `gs://bucket/path`.
        runtime: where kernel and worker run, where that matters.

    Raises:
        SettingError: the location is not well-formed, there are no credentials, there is no such bucket, or
            Google Cloud Storage does not answer.
    """
    location = read_location(location, {})
    with open_folder(location, brief=True) as folder:
        granted = _granted(folder)
        reader = find_reader(runtime, location, folder.who, folder.project)
        return BucketAccess(
            location,
            folder.who,
            can_list=granted >= _NEEDED["listed"],
            can_read=granted >= _NEEDED["read"],
            can_write=granted >= _NEEDED["written"],
            can_delete=granted >= _NEEDED["cleared"],
            reader=reader.name,
            reader_remedy=reader.remedy,
            problem=_why_not_here(location, folder.who) or _why_not_tensorflow(location),
        )


def require_bucket(location: str, *, runtime: Runtime | None = None) -> BucketAccess:
    """The same, for a bucket that has to be usable as a cache.

    Raises:
        SettingError: it is not.
    """
    access = check_bucket(location, runtime=runtime)
    if access.refusal:
        raise SettingError(access.refusal)
    return access


def _granted(folder: BucketFolder) -> frozenset[str]:
    try:
        with refusals_in_words(folder.location, "used", str(folder.who)):
            return frozenset(
                folder.bucket.test_iam_permissions(
                    sorted(set().union(*_NEEDED.values())), timeout=folder.timeout, retry=folder.retry
                )
            )
    except BucketError as error:
        if error.status == 404:
            raise SettingError(
                f"There is no bucket gs://{folder.bucket_name}. Check its name, or make it: "
                f"gcloud storage buckets create gs://{folder.bucket_name}"
            ) from error
        raise


def _why_not_here(location: str, identity: Identity) -> str:
    """Why no TensorFlow gets where google-auth gets, on this platform or as this identity; else ""."""
    if sys.platform == "win32":
        return f"TensorFlow for Windows cannot open {location}. Use a directory, or run the kernel in WSL."
    if not identity.suits_tensorflow:
        return (
            f"TensorFlow cannot log in as {identity}: it reads key files of service accounts and users only. "
            "Run `gcloud auth application-default login` and restart the kernel."
        )
    return ""


def _why_not_tensorflow(location: str) -> str:
    """Why the TensorFlow that this process has imported does not get there; "" as far as can be told."""
    if "tensorflow" not in sys.modules:
        return ""
    import tensorflow as tf

    try:
        tf.io.gfile.exists(location)
    except (tf.errors.UnauthenticatedError, tf.errors.PermissionDeniedError):
        # It keeps an empty token as long as the process lives once it has found no credentials.
        return (
            "TensorFlow opened gs:// before there were credentials, and does not look again. "
            f"Restart the kernel and run %hub_cache {location} before the first load."
        )
    except tf.errors.UnimplementedError:
        return f"This TensorFlow was built without gs://. Install tensorflow from PyPI to use {location}."
    except tf.errors.OpError as error:
        return (
            f"TensorFlow cannot open {location}: {first_line(error)[:200]}. Restart the kernel and try again."
        )
    return ""
