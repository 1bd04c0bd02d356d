"""Models in their host's own bucket: where the host says they are, and whether they can be read there.

TensorFlow Hub's protocol: the handle asked for with `tf-hub-format=uncompressed` is answered with status 303,
whose body names a folder that starts with `gs://`. https://www.tensorflow.org/hub/hosting
"""

from __future__ import annotations

from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlparse, urlunparse

from ..errors import DownloadError, first_line
from ..handles import Handle
from .failures import NoModelError, UnsafeModelError

if TYPE_CHECKING:
    from .web import RetryPolicy

_INSTEAD = "Load it with %hub_mode compressed"
_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")
_LONGEST = 4096  # no folder's name is longer


def folder_of(handle: Handle, retries: RetryPolicy | None = None) -> str:
    """The `gs://` folder that holds the model's files, which TensorFlow in this process can read.

    Args:
        handle: the model's URL.
        retries: with the host; the usual one when None.

    Raises:
        DownloadError: the host does not answer or names no folder, or the folder cannot be read.
    """
    folder = named_folder(handle, retries)
    _check_readable(handle, folder)
    return folder


def named_folder(handle: Handle, retries: RetryPolicy | None = None) -> str:
    """The `gs://` folder that the host names for the model; whether it can be read is not asked.

    Raises:
        DownloadError: the host does not answer or names no folder.
    """
    import requests
    from urllib3.exceptions import HTTPError

    from .messages import explain_answer, silence
    from .web import Web, retry_policy

    url = urlparse(handle.text)
    query = urlencode([*parse_qsl(url.query), ("tf-hub-format", "uncompressed")])
    web = Web(retries or retry_policy(), connections=1)
    try:
        answer = web.get(urlunparse(url._replace(query=query)), follow=False)
        with answer:
            body = answer.raw.read(_LONGEST, decode_content=True)
    except (requests.RequestException, ValueError, HTTPError, HTTPException) as error:
        raise silence(handle.text, error, 1) from error
    finally:
        web.close()
    if answer.status_code == 404:
        raise UnsafeModelError(
            f"{url.netloc} has no bucket folder for {handle} (404). {_INSTEAD}, or check its name."
        )
    if answer.status_code >= 400:
        raise UnsafeModelError(explain_answer(handle.text, handle.text, answer.status_code, body))
    folder = body.decode(errors="replace").strip()
    if answer.status_code != 303 or not folder.startswith("gs://") or not folder.isprintable():
        raise UnsafeModelError(
            f"{url.netloc} names no bucket for {handle}: status {answer.status_code} instead of a 303 with a "
            f"gs:// folder. {_INSTEAD}."
        )
    return folder.rstrip("/")


def _check_readable(handle: Handle, folder: str) -> None:
    import tensorflow as tf

    gfile = tf.io.gfile
    try:
        # Asked for by name first: what may not be read looks like an empty folder to a listing.
        is_there = any(gfile.exists(f"{folder}/{name}") for name in _GRAPHS) or gfile.isdir(folder)
    except (tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError) as error:
        raise DownloadError(
            f"The bucket folder {folder} of {handle} is not readable for this kernel. {_INSTEAD}, or log in."
        ) from error
    except tf.errors.OpError as error:
        why = first_line(error)[:200]
        raise DownloadError(
            f"The bucket folder {folder} of {handle} cannot be read: {why}. {_INSTEAD}."
        ) from error
    if not is_there:
        raise NoModelError(f"The bucket folder {folder} of {handle} is empty. {_INSTEAD}.")
