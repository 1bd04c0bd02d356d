"""The identity of this kernel at Google Cloud, and whether TensorFlow has the same.

TensorFlow looks for credentials on its own, in fewer places than google-auth. Source of its order:
`google_auth_provider.cc` in `third_party/xla/xla/tsl/platform/cloud` of tensorflow/tensorflow.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import SettingError, first_line
from ..facts import Fact
from ..settings import variables_set

SCOPES = (
    "https://www.googleapis.com/auth/devstorage.full_control",
    "https://www.googleapis.com/auth/userinfo.email",
)
_TOKENINFO = "https://oauth2.googleapis.com/tokeninfo"
# Seconds to wait for a connection, and for an answer, where only a name is requested.
_BRIEFLY = (3, 5)


@dataclass(frozen=True, slots=True)
class Identity(Fact):
    """The identity of this kernel at Google Cloud.

    Attributes:
        account: the e-mail address of the user or service account; "" if unknown.
        kind: the kind of credentials: "service account", "user", "machine" (from the metadata server), or
            "federated".
        source: where the credentials were found: a file, or the machine.
    """

    account: str
    kind: str
    source: str = ""

    def __str__(self) -> str:
        return self.account or f"the {self.kind} credentials of {self.source or 'this computer'}"

    @property
    def suits_tensorflow(self) -> bool:
        """Whether TensorFlow finds these credentials too: it reads no files of federated identities."""
        return self.kind != "federated"


def login_remedy() -> str:
    """Return the line to run so that there are credentials."""
    if "COLAB_RELEASE_TAG" in os.environ:
        return "Run: from google.colab import auth; auth.authenticate_user()"
    return "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file"


def find_credentials() -> Any:
    """Return google-auth's credentials for storage.

    Raises:
        SettingError: there are none, or the file that the variable names cannot be used.
    """
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    with google_imports():
        import google.auth
        from google.auth.exceptions import GoogleAuthError
    try:
        with _asking_once():
            credentials, _project = google.auth.default(scopes=SCOPES)
    except GoogleAuthError as error:
        if named:
            raise SettingError(
                f"GOOGLE_APPLICATION_CREDENTIALS names {named}, which cannot be used: {first_line(error)}. "
                "Correct or remove that variable."
            ) from error
        raise SettingError(f"There are no Google Cloud credentials here. {login_remedy()}.") from error
    return credentials


@contextmanager
def _asking_once() -> Iterator[None]:
    """Make google-auth try a missing metadata server once, for three seconds, instead of three times.

    google-auth reads the variable when it imports a module of its own, at the first look for credentials.
    """
    name = "GCE_METADATA_DETECT_RETRIES"
    with variables_set({name: os.environ.get(name, "1")}):
        yield


def identify(credentials: Any, session: Any) -> Identity:
    """Return the identity of credentials. For a user it asks Google for the address, which the file lacks.

    Args:
        credentials: as `find_credentials` returns them.
        session: an open `AuthorizedSession` with them.
    """
    module = type(credentials).__module__
    source = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    account = getattr(credentials, "service_account_email", "") or ""
    if "compute_engine" in module:
        return Identity("" if account == "default" else account, "machine")
    if "service_account" in module:
        return Identity(account, "service account", source)
    if "oauth2.credentials" not in module:
        return Identity(account, "federated", source)
    return Identity(getattr(credentials, "account", "") or _ask_address(credentials, session), "user", source)


def project_of(credentials: Any) -> str:
    """Return the id of the current project, if variables or the credentials name it; else ""."""
    named = (os.environ.get(name) for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"))
    return next(filter(None, named), "") or str(getattr(credentials, "project_id", "") or "")


def _ask_address(credentials: Any, session: Any) -> str:
    import requests

    try:
        found = session.get(_TOKENINFO, params={"access_token": credentials.token}, timeout=_BRIEFLY).json()
    except (requests.RequestException, ValueError):
        return ""
    return str(found.get("email", ""))


@contextmanager
def google_imports() -> Iterator[None]:
    """Silence warnings at the import of Google's packages, about Python's age or parts of gRPC."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


ASK_OWNER = (
    "Ask the bucket's owner for the role roles/storage.objectUser on it, or log in with another account."
)


class BucketError(SettingError):
    """An error from a bucket: it did not return or accept what was requested.

    Attributes:
        status: the HTTP status; 0 without an answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def refusals_in_words(location: str, act: str, who: str = "") -> Iterator[None]:
    """Turn errors of Google's packages inside the `with` into one line.

    Args:
        location: the `gs://` location.
        act: what is done with the location: "listed", "read", "written".
        who: this kernel's identity, if known.

    Raises:
        BucketError: the storage refuses, or does not answer.
    """
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    except ImportError:  # their place before 3.0
        from google.resumable_media import DataCorruption, InvalidResponse
    try:
        yield
    except GoogleAPIError as error:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, (requests.RequestException, OSError)):  # retried until the time was up
            raise BucketError(_silence(location, cause)) from error
        status = int(getattr(cause, "code", 0) or 0)
        raise BucketError(_words(location, act, who, status, cause), status) from error
    except InvalidResponse as error:
        status = int(error.response.status_code)
        raise BucketError(_words(location, act, who, status, error), status) from error
    except DataCorruption as error:
        raise BucketError(
            f"The data received from {location} is damaged: {first_line(error)}. Try again."
        ) from error
    except (requests.RequestException, TransportError) as error:
        raise BucketError(_silence(location, error)) from error
    except GoogleAuthError as error:
        raise BucketError(
            f"Google Cloud does not accept the credentials: {first_line(error)[:200]}. {login_remedy()}."
        ) from error


def _words(location: str, act: str, who: str, status: int, error: BaseException) -> str:
    whom = f" by {who}" if who else ""
    if status >= 500:
        why = f"Google Cloud Storage has a server error ({status})"
        return f"{location} cannot be {act}: {why}. Try again later."
    known = {
        401: f"cannot be {act}{whom}: the credentials are not accepted. {login_remedy()}.",
        403: f"may not be {act}{whom}. {ASK_OWNER}",
        404: f"cannot be {act}: it does not exist. Check the bucket's name.",
        412: "was changed by another process at the same time. Try again.",
        429: f"cannot be {act}: Google Cloud Storage received too many requests. Try again in a minute.",
    }
    other = (
        f"cannot be {act}: {first_line(error)[:200]}. Check that you can open it in the Google Cloud console."
    )
    return f"{location} {known.get(status, other)}"


def _silence(location: str, error: BaseException) -> str:
    text = repr(error)
    if "ProxyError" in text or "Tunnel connection failed" in text:
        why, remedy = "the proxy could not connect to it", "Check https_proxy"
    elif "CERTIFICATE_VERIFY_FAILED" in text:
        why, remedy = (
            "its certificate is not trusted",
            "If your network has its own, set REQUESTS_CA_BUNDLE to it",
        )
    elif "Timeout" in text or "timed out" in text:
        why, remedy = "it does not answer", "Check the network"
    else:
        why, remedy = "it cannot be reached", "Check the network; in a Kaggle notebook, turn Internet on"
    return f"Cannot reach Google Cloud Storage for {location}: {why}. {remedy}."
