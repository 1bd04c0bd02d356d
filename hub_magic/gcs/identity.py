"""Who this kernel is to Google Cloud, and whether TensorFlow can be the same.

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

from ..errors import SettingError
from ..facts import Fact
from ..settings import variables_set

SCOPES = (
    "https://www.googleapis.com/auth/devstorage.full_control",
    "https://www.googleapis.com/auth/userinfo.email",
)
_TOKENINFO = "https://oauth2.googleapis.com/tokeninfo"
# Seconds to wait for a connection, and for an answer, where only a name is asked for.
_BRIEFLY = (3, 5)


@dataclass(frozen=True, slots=True)
class Identity(Fact):
    """Who asks.

    Attributes:
        account: the e-mail address of the user or service account; "" when it is not known.
        kind: what sort of credentials: "service account", "user", "machine" (given out by the machine's own
            server), or "federated".
        source: where they were found: a file, or the machine.
    """

    account: str
    kind: str
    source: str = ""

    def __str__(self) -> str:
        return self.account or f"the {self.kind} credentials of {self.source or 'this machine'}"

    @property
    def suits_tensorflow(self) -> bool:
        """Whether TensorFlow's own look finds them: it reads no files of federated identities."""
        return self.kind != "federated"


def login_remedy() -> str:
    """What to run so that there are credentials."""
    if "COLAB_RELEASE_TAG" in os.environ:
        return "Run: from google.colab import auth; auth.authenticate_user()"
    return "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file"


def find_credentials() -> Any:
    """google-auth's credentials for storage.

    Raises:
        SettingError: there are none, or the file that is named for them cannot be used.
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
    """google-auth asks a machine's server that is not there once, for three seconds, not three times.

    It reads the variable at an import of its own, which happens at the first look for credentials.
    """
    name = "GCE_METADATA_DETECT_RETRIES"
    with variables_set({name: os.environ.get(name, "1")}):
        yield


def identify(credentials: Any, session: Any) -> Identity:
    """Who the credentials are; asks Google for the address of a user, whose file does not hold it.

    Args:
        credentials: as `find_credentials` gives them.
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
    """The id of the project that is worked in, where variables or the credentials tell it; else ""."""
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
    """Google's packages warn at their import of Python's age or of gRPC's parts, which helps nobody here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without the full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ") if lines else type(error).__name__
