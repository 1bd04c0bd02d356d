"""Check whether this kernel can cache models in a bucket, before it is set and without writing anything."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..errors import SettingError, first_line
from ..facts import Fact
from ..locations import read_location
from ..runtime import Runtime
from .folder import BucketFolder, open_folder
from .identity import ASK_OWNER, BucketError, Identity, refusals_in_words

# All of Colab's TPUs on the network belonged to one project: googlecolab/colabtools#1177.
_COLAB_PROJECT = "495559152420"
_METADATA = "computeMetadata/v1/project/numeric-project-id"
# Seconds to wait for a connection to the metadata server, and for an answer.
_BRIEFLY = (1, 3)


class Reader(NamedTuple):
    """The account that reads for the worker.

    Attributes:
        name: the account, or a description of it; "" where the worker is this process.
        remedy: how to let that account read.
    """

    name: str = ""
    remedy: str = ""


def find_reader(runtime: Runtime | None, location: str, identity: Identity, project: str = "") -> Reader:
    """Return the account, besides this kernel's, that must be able to read a bucket.

    Args:
        runtime: where kernel and worker run.
        location: the `gs://` location.
        identity: this kernel's identity.
        project: the id of its project, if known.
    """
    if runtime is None or not runtime.is_remote:
        return Reader()
    bucket = "/".join(location.split("/")[:3])
    manual = Reader(
        f"the account that the worker at {', '.join(runtime.worker.endpoints) or runtime.worker.job} runs as",
        f"Give that account the role roles/storage.objectViewer on {bucket}.",
    )
    # TPU VMs: each reads as the account attached to it.
    if runtime.worker.kind == "multi-host":
        is_known = identity.kind == "machine" and identity.account
        return _let(identity.account, bucket) if is_known else manual
    if runtime.accelerator.kind != "tpu":
        return manual
    number = _project_number(identity)
    if number:
        return _let(f"service-{number}@cloud-tpu.iam.gserviceaccount.com", bucket)
    ask = (
        f"gcloud beta services identity create --service=tpu.googleapis.com --project={project or 'PROJECT'}"
    )
    return Reader(
        "the TPU service agent of its project, service-NUMBER@cloud-tpu.iam.gserviceaccount.com",
        f"`{ask}` prints it; give it the role roles/storage.objectViewer on {bucket}.",
    )


def _let(account: str, bucket: str) -> Reader:
    return Reader(
        account,
        f"To let it: gcloud storage buckets add-iam-policy-binding {bucket} "
        f"--member=serviceAccount:{account} --role=roles/storage.objectViewer",
    )


def _project_number(identity: Identity) -> str:
    """Return the number of the TPU's project: Colab's, or this computer's; "" if unknown."""
    if os.environ.get("COLAB_TPU_ADDR"):
        return _COLAB_PROJECT
    for name in ("CLOUD_ML_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"):  # the first is a number in Vertex AI
        if os.environ.get(name, "").isdecimal():
            return os.environ[name]
    return _ask_machine() if identity.kind == "machine" else ""


def _ask_machine() -> str:
    """Return the number of the project of this Google Cloud machine; "" without an answer."""
    import requests

    host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    with requests.Session() as session:
        session.trust_env = False  # a proxy would answer for its own machine
        try:
            answer = session.get(
                f"http://{host}/{_METADATA}", headers={"Metadata-Flavor": "Google"}, timeout=_BRIEFLY
            )
        except requests.RequestException:
            return ""
    return answer.text.strip() if answer.ok and answer.text.strip().isdecimal() else ""


# The permissions for each act. Replacing an object also deletes it, and a held lock is updated.
_NEEDED = {
    "listed": {"storage.objects.list"},
    "read": {"storage.objects.get"},
    "written": {"storage.objects.create", "storage.objects.update"},
    "cleared": {"storage.objects.delete"},
}


@dataclass(frozen=True, slots=True)
class BucketAccess(Fact):
    """This kernel's permissions on a bucket.

    Attributes:
        location: the `gs://` location.
        identity: this kernel's identity.
        can_list, can_read, can_write, can_delete: the permissions of that identity.
        reader: the account of a remote worker that must also be able to read the bucket; "" if none.
        reader_remedy: how to let that account read.
        problem: why TensorFlow in this process cannot use the bucket, and what to do; "" if it can.

    Example:
        >>> check_bucket("gs://models").can_write
        True
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
        """Return why models cannot be cached in the bucket, and what to do; "" if they can."""
        granted = (self.can_list, self.can_read, self.can_write, self.can_delete)
        lacking = [act for act, can in zip(_NEEDED, granted, strict=True) if not can]
        if lacking:
            return f"{self.location} may not be {' or '.join(lacking)} by {self.identity}. {ASK_OWNER}"
        return self.problem


def check_bucket(location: str, *, runtime: Runtime | None = None) -> BucketAccess:
    """Return this kernel's permissions on a bucket, within seconds and without writing anything.

    Args:
        location: `gs://bucket/path`.
        runtime: where kernel and worker run, if that matters.

    Raises:
        SettingError: the location is not well-formed, there are no credentials, there is no such bucket, or
            Google Cloud Storage does not answer.

    Example:
        >>> check_bucket("gs://models").can_read
        True
    """
    location = read_location(location, {})
    with open_folder(location, brief=True) as folder:
        granted = _granted(folder)
        reader = find_reader(runtime, location, folder.identity, folder.project)
        return BucketAccess(
            location,
            folder.identity,
            can_list=granted >= _NEEDED["listed"],
            can_read=granted >= _NEEDED["read"],
            can_write=granted >= _NEEDED["written"],
            can_delete=granted >= _NEEDED["cleared"],
            reader=reader.name,
            reader_remedy=reader.remedy,
            problem=_why_no_tensorflow(location, folder.identity) or _why_not_tensorflow(location),
        )


def require_bucket(location: str, *, runtime: Runtime | None = None) -> BucketAccess:
    """Return this kernel's permissions on a bucket that must be usable as a cache.

    Raises:
        SettingError: the bucket is not usable as a cache.
    """
    access = check_bucket(location, runtime=runtime)
    if access.refusal:
        raise SettingError(access.refusal)
    return access


def _granted(folder: BucketFolder) -> frozenset[str]:
    try:
        with refusals_in_words(folder.location, "used", str(folder.identity)):
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


def _why_no_tensorflow(location: str, identity: Identity) -> str:
    """Return why no TensorFlow can use it on this platform or as this identity, unlike google-auth; or ""."""
    if sys.platform == "win32":
        return f"TensorFlow for Windows cannot open {location}. Use a directory, or run the kernel in WSL."
    if not identity.suits_tensorflow:
        return (
            f"TensorFlow cannot log in as {identity}: it reads key files of service accounts and users only. "
            "Run `gcloud auth application-default login` and restart the kernel."
        )
    return ""


def _why_not_tensorflow(location: str) -> str:
    """Return why the TensorFlow imported in this process cannot open the location; "" if it can."""
    if "tensorflow" not in sys.modules:
        return ""
    import tensorflow as tf

    try:
        tf.io.gfile.exists(location)
    except (tf.errors.UnauthenticatedError, tf.errors.PermissionDeniedError):
        # TensorFlow that has found no credentials keeps an empty token as long as the process lives.
        return (
            "TensorFlow opened gs:// before there were credentials, and does not check again. "
            f"Restart the kernel and run %hub_cache {location} before the first load."
        )
    except tf.errors.UnimplementedError:
        return f"This TensorFlow was built without gs://. Install tensorflow from PyPI to use {location}."
    except tf.errors.OpError as error:
        return (
            f"TensorFlow cannot open {location}: {first_line(error)[:200]}. Restart the kernel and try again."
        )
    return ""
