"""A connection to a bucket, as whoever this kernel is."""

from __future__ import annotations

from typing import Any

from .folder import BucketFolder
from .identity import find_credentials, google_imports, identify, project_of
from .refusals import refusals_in_words

CONNECTIONS = 64
# Seconds for a login, which google-auth would otherwise wait for two minutes.
_LOGIN = 8


def open_folder(location: str, *, brief: bool = False) -> BucketFolder:
    """A folder in a bucket, as whoever this kernel is.

    Args:
        location: `gs://bucket/path`.
        brief: give up after seconds where the storage does not answer.

    Raises:
        SettingError: there are no credentials, or Google does not accept them.
    """
    with google_imports():
        import requests
        from google.auth.transport.requests import AuthorizedSession, Request
        from google.cloud import storage
    with refusals_in_words(location, "opened"):
        credentials = find_credentials()
        session = AuthorizedSession(credentials, refresh_timeout=_LOGIN)  # type: ignore[no-untyped-call]
        session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS))
        # Once, here, and not in each of the threads that ask first.
        with requests.Session() as asking:
            credentials.refresh(_Brief(Request(asking)))
        client = storage.Client(project="hub_magic", credentials=credentials, _http=session)
        return BucketFolder(
            location, client, identify(credentials, session), project=project_of(credentials), brief=brief
        )


class _Brief:
    """A request of google-auth that does not wait for two minutes."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._request(*arguments, **{**options, "timeout": _LOGIN})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)
