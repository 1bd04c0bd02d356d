"""Objects of the stand-in for Google Cloud Storage: kept in memory, with generations and preconditions.

Source of the rules: "Objects" and "Request preconditions" in the reference of the Cloud Storage JSON API.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import itertools
import threading
from dataclasses import dataclass, field

import google_crc32c

PAGE = 1000


class RefusedError(Exception):
    """A request whose answer is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Stored:
    """One object."""

    bucket: str
    name: str
    data: bytes
    generation: int
    metageneration: int = 1
    content_type: str = "application/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)
    created: str = ""
    updated: str = ""

    def resource(self) -> dict[str, object]:
        """Return the object as the JSON API describes it."""
        found = {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "contentType": self.content_type,
            "storageClass": "STANDARD",
            "size": str(len(self.data)),
            "md5Hash": base64.b64encode(hashlib.md5(self.data).digest()).decode(),
            "crc32c": base64.b64encode(google_crc32c.Checksum(self.data).digest()).decode(),
            "timeCreated": self.created,
            "updated": self.updated,
        }
        return {**found, "metadata": self.metadata} if self.metadata else found


@dataclass
class Bucket:
    """A bucket; a public bucket is readable without credentials."""

    name: str
    public: bool = False
    objects: dict[str, Stored] = field(default_factory=dict)


class Objects:
    """All buckets and their objects."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self._lock = threading.RLock()
        self._generations = itertools.count(1_700_000_000_000_001)
        # Moved by tests: seconds by which the storage's clock is ahead of this computer's.
        self.ahead = dt.timedelta()

    def now(self) -> str:
        moment = dt.datetime.now(dt.timezone.utc) + self.ahead
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise RefusedError(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def get(self, bucket: str, name: str, conditions: dict[str, int] | None = None) -> Stored:
        with self._lock:
            found = self.bucket(bucket).objects.get(name)
            if found is None:
                raise RefusedError(404, f"No such object: {bucket}/{name}")
            self._check(found, conditions or {})
            return found

    def put(
        self,
        bucket: str,
        name: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: dict[str, str] | None = None,
        conditions: dict[str, int] | None = None,
    ) -> Stored:
        with self._lock:
            objects = self.bucket(bucket).objects
            self._check(objects.get(name), conditions or {})
            now = self.now()
            found = Stored(
                bucket,
                name,
                data,
                next(self._generations),
                1,
                content_type,
                dict(metadata or {}),
                now,
                now,
            )
            objects[name] = found
            return found

    def patch(self, bucket: str, name: str, change: dict[str, object], conditions: dict[str, int]) -> Stored:
        with self._lock:
            found = self.get(bucket, name, conditions)
            metadata = change.get("metadata", {})
            assert isinstance(metadata, dict)
            merged = {**found.metadata, **metadata}
            found.metadata = {key: value for key, value in merged.items() if value is not None}
            found.metageneration += 1
            found.updated = self.now()
            return found

    def delete(self, bucket: str, name: str, conditions: dict[str, int] | None = None) -> None:
        with self._lock:
            self.get(bucket, name, conditions)
            del self.bucket(bucket).objects[name]

    def copy(
        self,
        source: Stored,
        bucket: str,
        name: str,
        conditions: dict[str, int],
        change: dict[str, object],
    ) -> Stored:
        metadata = change.get("metadata", source.metadata)
        assert isinstance(metadata, dict)
        return self.put(
            bucket,
            name,
            source.data,
            content_type=str(change.get("contentType", source.content_type)),
            metadata=metadata,
            conditions=conditions,
        )

    def page(
        self, bucket: str, *, prefix: str, delimiter: str, token: str, most: int
    ) -> tuple[list[Stored], list[str], str]:
        """Return one page of a listing: objects, prefixes, and the token of the next page or ""."""
        with self._lock:
            objects = self.bucket(bucket).objects
            found: dict[str, Stored | None] = {}
            for name in objects:
                if not name.startswith(prefix):
                    continue
                rest = name[len(prefix) :]
                if delimiter and delimiter in rest:
                    found[prefix + rest.partition(delimiter)[0] + delimiter] = None
                else:
                    found[name] = objects[name]
            names = sorted(name for name in found if name > token)
            shown, more = names[:most], len(names) > most
            items = [stored for name in shown if (stored := found[name]) is not None]
            prefixes = [name for name in shown if found[name] is None]
            return items, prefixes, shown[-1] if more else ""

    def _check(self, found: Stored | None, conditions: dict[str, int]) -> None:
        generation = found.generation if found else 0
        metageneration = found.metageneration if found else 0
        for name, wanted in conditions.items():
            actual = metageneration if "Metageneration" in name else generation
            if (actual == wanted) == name.endswith("NotMatch"):
                raise RefusedError(412, "At least one of the pre-conditions you specified did not hold.")
