"""Who reads a bucket for a worker that is not this kernel, and how to let them.

The user's own login is of no use to a TPU on the network: it reads as the service agent that Google Cloud
keeps for the TPUs of its project, which is not listed among the project's accounts.
Source: cloud.google.com/tpu/docs/storage-buckets.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..runtime import Runtime
from .identity import Identity

# Colab's TPUs on the network were all of one project: googlecolab/colabtools#1177.
_COLAB_PROJECT = "495559152420"
_METADATA = "computeMetadata/v1/project/numeric-project-id"
# Seconds to wait for a connection to the machine's own server, and for an answer.
_BRIEFLY = (1, 3)


class Reader(NamedTuple):
    """Who reads for the worker.

    Attributes:
        name: their account, or whose it is; "" where the worker is this process.
        remedy: how to let them.
    """

    name: str = ""
    remedy: str = ""


def find_reader(runtime: Runtime | None, location: str, identity: Identity, project: str = "") -> Reader:
    """Who must be able to read a bucket besides this kernel.

    Args:
        runtime: where kernel and worker run.
        location: the `gs://` location.
        identity: who this kernel is.
        project: its project's id, where that is known.
    """
    if runtime is None or not runtime.is_remote:
        return Reader()
    bucket = "/".join(location.split("/")[:3])
    by_hand = Reader(
        f"the account that the worker at {', '.join(runtime.worker.endpoints) or runtime.worker.job} runs as",
        f"Give that account the role roles/storage.objectViewer on {bucket}.",
    )
    if runtime.worker.kind == "multi-host":  # TPU VMs, each of which reads as the account attached to it
        is_known = identity.kind == "machine" and identity.account
        return _let(identity.account, bucket) if is_known else by_hand
    if runtime.accelerator.kind != "tpu":
        return by_hand
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
    """The number of the TPU's project: Colab's, or this machine's own; "" where nothing tells."""
    if os.environ.get("COLAB_TPU_ADDR"):
        return _COLAB_PROJECT
    for name in ("CLOUD_ML_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"):  # the first is a number in Vertex AI
        if os.environ.get(name, "").isdecimal():
            return os.environ[name]
    return _ask_machine() if identity.kind == "machine" else ""


def _ask_machine() -> str:
    """The number of the project that this machine of Google Cloud belongs to; "" without an answer."""
    import requests

    host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    with requests.Session() as session:
        session.trust_env = False  # a proxy's own machine would answer
        try:
            answer = session.get(
                f"http://{host}/{_METADATA}", headers={"Metadata-Flavor": "Google"}, timeout=_BRIEFLY
            )
        except requests.RequestException:
            return ""
    return answer.text.strip() if answer.ok and answer.text.strip().isdecimal() else ""
