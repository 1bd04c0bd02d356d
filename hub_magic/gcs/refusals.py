"""What Google Cloud Storage refuses, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import SettingError
from .identity import first_line, login_remedy

ASK_OWNER = "Ask the bucket's owner for the role roles/storage.objectUser on it, or log in as somebody else."


class BucketError(SettingError):
    """A bucket that does not give or take what it was asked for.

    Attributes:
        status: the HTTP status; 0 where there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def refusals_in_words(location: str, act: str, who: str = "") -> Iterator[None]:
    """Whatever Google's packages raise inside the `with` becomes a line.

    Args:
        location: the `gs://` location.
        act: what is done with it: "listed", "read", "written".
        who: who asks, where that is known.

    Raises:
        BucketError: the storage refuses, or does not answer.
    """
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    except ImportError:  # before 3.0 they had another home
        from google.resumable_media import DataCorruption, InvalidResponse
    try:
        yield
    except GoogleAPIError as error:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, (requests.RequestException, OSError)):  # tried until the time was up
            raise BucketError(_silence(location, cause)) from error
        status = int(getattr(cause, "code", 0) or 0)
        raise BucketError(_words(location, act, who, status, cause), status) from error
    except InvalidResponse as error:
        status = int(error.response.status_code)
        raise BucketError(_words(location, act, who, status, error), status) from error
    except DataCorruption as error:
        raise BucketError(f"What {location} gave is damaged: {first_line(error)}. Try again.") from error
    except (requests.RequestException, TransportError) as error:
        raise BucketError(_silence(location, error)) from error
    except GoogleAuthError as error:
        raise BucketError(
            f"Google Cloud does not take the credentials found here: {first_line(error)[:200]}. "
            f"{login_remedy()}."
        ) from error


def _words(location: str, act: str, who: str, status: int, error: BaseException) -> str:
    whom = f" by {who}" if who else ""
    if status >= 500:
        return f"{location} cannot be {act}: the storage is out of order ({status}). Try again in a while."
    known = {
        401: f"cannot be {act}{whom}: the credentials are not accepted. {login_remedy()}.",
        403: f"may not be {act}{whom}. {ASK_OWNER}",
        404: f"cannot be {act}: it is not there. Check the bucket's name.",
        412: "was changed by somebody else at the same moment. Run it again.",
        429: f"cannot be {act}: the storage had too many requests. Try again in a minute.",
    }
    other = f"cannot be {act}: {first_line(error)[:200]}. See whether the console opens it."
    return f"{location} {known.get(status, other)}"


def _silence(location: str, error: BaseException) -> str:
    text = repr(error)
    if "ProxyError" in text or "Tunnel connection failed" in text:
        why, remedy = "the proxy gives no way to it", "Check https_proxy"
    elif "CERTIFICATE_VERIFY_FAILED" in text:
        why, remedy = (
            "its certificate is not trusted",
            "If your network has its own, set REQUESTS_CA_BUNDLE to it",
        )
    elif "Timeout" in text or "timed out" in text:
        why, remedy = "it does not answer", "Check the network"
    else:
        why, remedy = "it cannot be reached", "Check the network; in a Kaggle notebook, turn Internet on"
    return f"Google Cloud Storage was asked for {location}, but {why}. {remedy}."
