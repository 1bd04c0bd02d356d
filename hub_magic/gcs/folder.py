"""A folder in a bucket, and the operations on its objects.

Every method may be called by several threads at once. Uploads name what they replace ("nothing" or one
generation), so two computers that write the same name cannot both believe that they succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..progress import Progress, no_progress
from .identity import (
    BucketError,
    Identity,
    find_credentials,
    google_imports,
    identify,
    project_of,
    refusals_in_words,
)
from .objects import BucketFile, Copying, file_of

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


_FIELDS = "items(name,size,generation,metageneration,timeCreated,updated,crc32c,metadata),nextPageToken"
# Seconds to wait for a connection, and for each piece of an answer; and seconds to retry in all.
_TIMEOUT = (10, 60)
_PERSISTENCE = 90
_FIRST_TIMEOUT = (5, 10)
_FIRST_PERSISTENCE = 8
LARGEST_BATCH = 100  # the limit in the manual's "Batch requests"
_BATCHES = 8  # batches sent at once
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


class BucketFolder:
    """An open `gs://bucket/path`. Leaving its `with` closes the connections."""

    def __init__(
        self, location: str, client: Any, identity: Identity, *, project: str = "", brief: bool = False
    ) -> None:
        bucket, _, path = location.removeprefix("gs://").partition("/")
        self.location = location
        self.identity = identity
        self.project = project
        self.bucket_name = bucket
        self.prefix = f"{path.rstrip('/')}/" if path.strip("/") else ""
        self.client = client
        self.timeout = _FIRST_TIMEOUT if brief else _TIMEOUT
        self._persistence = _FIRST_PERSISTENCE if brief else _PERSISTENCE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.client._http.close()  # noqa: SLF001 - 2.10 has no other way

    @property
    def retry(self) -> Any:
        """The retry policy of a request."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        return DEFAULT_RETRY.with_delay(initial=0.5, maximum=15.0).with_timeout(self._persistence)

    @property
    def bucket(self) -> Any:
        """The bucket as google-cloud-storage knows it."""
        return self.client.bucket(self.bucket_name)

    def files(self, prefix: str = "", progress: Progress = no_progress) -> Iterator[BucketFile]:
        """Yield all objects whose names in the folder begin with `prefix`, sorted by name, 1000 per request.

        Args:
            prefix: the beginning of the names.
            progress: told the number of further objects with each answer.

        Raises:
            BucketError: listing is not permitted.
        """
        with self.in_words("listed"):
            found = self.client.list_blobs(
                self.bucket_name,
                prefix=self.prefix + prefix,
                fields=_FIELDS,
                timeout=self.timeout,
                retry=self.retry,
            )
            for page in found.pages:
                progress(page.num_items)
                for blob in page:
                    yield file_of(blob, self.prefix)

    def read(self, name: str) -> bytes | None:
        """Return the content of a small object; None if there is no such object."""
        try:
            with self.in_words("read"):
                content: bytes = self.blob(name).download_as_bytes(
                    timeout=self.timeout, retry=self.retry, raw_download=True
                )
                return content
        except BucketError as error:
            if error.status == 404:
                return None
            raise

    def write(
        self,
        name: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        replaces: int | None = 0,
    ) -> int | None:
        """Write a small object and return its generation; None if it may not replace the present object.

        Args:
            name: the object's name in the folder.
            content: the object's bytes.
            metadata: values that listings return with the object.
            replaces: the generation that it may replace; 0 for no object, None for any.
        """
        blob = self.blob(name)
        if metadata:
            blob.metadata = dict(metadata)
        options = {} if replaces is None else {"if_generation_match": replaces}
        try:
            with self.in_words("written"):
                blob.upload_from_string(
                    content, timeout=self.timeout, retry=self.retry, checksum="crc32c", **options
                )
        except BucketError as error:
            if error.status == 412:
                return None
            raise
        return int(blob.generation)

    def describe(self, name: str, metadata: Mapping[str, str], *, generation: int) -> bool:
        """Write an object's metadata and return whether it still had that generation."""
        blob = self.blob(name)
        blob.metadata = dict(metadata)
        try:
            with self.in_words("written"):
                blob.patch(if_generation_match=generation, timeout=self.timeout, retry=self.retry)
        except BucketError as error:
            if error.status in {404, 412}:
                return False
            raise
        return True

    def remove(self, file: BucketFile) -> bool:
        """Delete an object and return whether it existed with that generation, unchanged."""
        options = {"if_generation_match": file.generation}
        if file.updated is not None:  # the file comes from a listing
            options["if_metageneration_match"] = file.metageneration
        try:
            with self.in_words("cleared"):
                self.blob(file.name).delete(timeout=self.timeout, retry=self.retry, **options)
        except BucketError as error:
            if error.status in {404, 412}:
                return False
            raise
        return True

    def delete(self, files: Iterable[BucketFile], progress: Progress = no_progress) -> None:
        """Delete objects, 100 per request. Objects that are gone or replaced are skipped.

        Raises:
            BucketError: deleting one of them is not permitted.
        """
        left = list(files)
        while left:
            batch, left = left[:LARGEST_BATCH], left[LARGEST_BATCH:]

            def ask(batch: Sequence[BucketFile] = batch) -> None:
                for file in batch:
                    self.blob(file.name).delete(if_generation_match=file.generation, timeout=self.timeout)

            self._batch(ask, passing={404, 412}, act="cleared")
            progress(sum(file.size for file in batch))

    def copy(self, copies: Sequence[Copying]) -> int:
        """Copy objects within the folder, 100 per request, all requests at once.

        A batch is one request with one body. The storage receives all of it and acts, in any order, or it
        receives a part and does nothing. So a process that is killed meanwhile leaves none or all of a batch.
        Objects that already exist at a target stay.

        Returns:
            The number of targets that already existed.

        Raises:
            BucketError: one of them cannot be copied.
        """
        batches = [copies[at : at + LARGEST_BATCH] for at in range(0, len(copies), LARGEST_BATCH)]
        if len(batches) <= 1:
            return sum(map(self._copy_batch, batches))
        with ThreadPoolExecutor(min(_BATCHES, len(batches)), "hub_magic copy") as pool:
            return sum(pool.map(self._copy_batch, batches))

    def _copy_batch(self, batch: Sequence[Copying]) -> int:
        def ask() -> None:
            bucket = self.bucket
            for one in batch:
                bucket.copy_blob(
                    bucket.blob(self.prefix + one.source),
                    bucket,
                    self.prefix + one.target,
                    if_generation_match=0,
                    timeout=self.timeout,
                )

        return self._batch(ask, passing={412}, act="written")

    def _batch(self, ask: Callable[[], None], *, passing: set[int], act: str) -> int:
        """Send the requests that `ask` makes as one batch, and retry while the storage has a server error.

        Returns:
            The number of answers with a status in `passing`.
        """
        from google.api_core import exceptions

        def send() -> int:
            with self.client.batch(raise_exception=False) as batch:
                ask()
            statuses = [answer.status_code for answer in batch._responses]  # noqa: SLF001 - as its manual says
            refused = [one for one in statuses if one >= 300 and one not in passing]
            if refused:
                # Retry the batch if possible: conditions make sure that nothing is done twice.
                worst = next((one for one in refused if one not in _TRANSIENT), refused[0])
                raise exceptions.from_http_status(  # type: ignore[no-untyped-call]
                    worst, f"{len(refused)} of {len(statuses)} refused"
                )
            return sum(one in passing for one in statuses)

        with self.in_words(act):
            passed: int = self.retry(send)()
            return passed

    def blob(self, name: str) -> Any:
        """Return the object of that name in the folder, as google-cloud-storage knows it."""
        return self.bucket.blob(self.prefix + name)

    def in_words(self, act: str) -> Any:
        """Turn the storage's refusals inside this `with` into one line; `act` says what was done: "read"."""
        return refusals_in_words(self.location, act, str(self.identity))


CONNECTIONS = 64
# Seconds for a login; google-auth would wait for two minutes.
_LOGIN = 8


def open_folder(location: str, *, brief: bool = False) -> BucketFolder:
    """Return an open folder in a bucket, with this kernel's identity.

    Args:
        location: `gs://bucket/path`.
        brief: give up after seconds if the storage does not answer.

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
        # Log in once, here, instead of in each thread that asks first.
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
