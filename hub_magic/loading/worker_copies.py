"""A model's files on the workers: what they lack, and how it is sent, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RouteError
from .model_files import ModelFile
from .worker_files import WorkerFiles, WorkerRefusedError, fingerprint_here, tensor_here

# Written beside the files once all of them were found whole on the worker: whoever finds it need not compare
# every byte again, be it after a restart of the kernel.
_RECEIPT = ".hub_magic_relay"


@dataclass(frozen=True, slots=True)
class WorkerCopies:
    """Copies of one model's files, under the same folder on every worker.

    Attributes:
        source: the model's directory on this machine.
        files: those of its files that the workers need.
        folder: where they go: a path on the workers, or a location under `ram://`.
        workers: the workers.
        piece: bytes sent at a time.
    """

    source: str
    files: tuple[ModelFile, ...]
    folder: str
    workers: tuple[WorkerFiles, ...]
    piece: int

    def missing(self) -> dict[WorkerFiles, tuple[ModelFile, ...]]:
        """The files that each worker lacks, or has otherwise than this machine."""
        missing = {}
        for worker in self.workers:
            is_known = worker.read(self._path(_RECEIPT)) == self._receipt
            missing[worker] = tuple(
                file
                for file in self.files
                if not worker.has(self._path(file.name), file.size)
                or not (is_known or self._is_same(worker, file))
            )
        return missing

    def can_be_sent(self, missing: Mapping[WorkerFiles, tuple[ModelFile, ...]]) -> bool:
        """Whether the workers that lack files can write here; their receipts are void from now on."""
        try:
            for worker, files in missing.items():
                if files:
                    worker.write(self._path(_RECEIPT), b"")
        except WorkerRefusedError:
            return False
        return True

    def is_broken_off(self) -> bool:
        """Whether sending was begun here for a worker, and not ended."""
        return any(worker.read(self._path(_RECEIPT)) not in {None, self._receipt} for worker in self.workers)

    def send(
        self, missing: Mapping[WorkerFiles, tuple[ModelFile, ...]], sent: Callable[[int], object]
    ) -> None:
        """Send every worker what it lacks; each piece is read here once, for all of them.

        Args:
            missing: what `missing` gave.
            sent: is told of bytes that arrived.

        Raises:
            RouteError: a worker is gone, its disk is full, or something else arrived than was sent.
        """
        for file in self.files:
            lacking = [worker for worker in self.workers if file in missing[worker]]
            if lacking:
                self._send(file, lacking, sent)
        for worker in self.workers:
            if missing[worker]:
                with suppress(
                    WorkerRefusedError
                ):  # without a receipt all bytes are compared next time, no more
                    worker.write(self._path(_RECEIPT), self._receipt)

    def _send(self, file: ModelFile, workers: list[WorkerFiles], sent: Callable[[int], object]) -> None:
        path = self._path(file.name)
        for at, size, data in self._pieces(file):
            wanted = fingerprint_here(data)
            for worker in workers:
                worker.write(path, data, at=at)
                if worker.fingerprint(path, at=at, size=size, whole=at + size) != wanted:
                    raise RouteError(f"{file.name} arrived damaged at {worker.task}. Run the cell again.")
                sent(size)

    def _is_same(self, worker: WorkerFiles, file: ModelFile) -> bool:
        path = self._path(file.name)
        try:
            return all(
                worker.fingerprint(path, at=at, size=size, whole=file.size) == fingerprint_here(data)
                for at, size, data in self._pieces(file)
            )
        except WorkerRefusedError:
            return False

    def _pieces(self, file: ModelFile) -> Iterator[tuple[int, int, Any]]:
        """Start, size and content, a string tensor, of each piece; an empty file is one empty piece."""
        path = Path(self.source) / file.name
        try:
            with path.open("rb") as opened:
                for at in range(0, max(file.size, 1), self.piece):
                    data = opened.read(self.piece)
                    yield at, len(data), tensor_here(data)
        except OSError as error:
            raise RouteError(
                f"{path} cannot be read: {error.strerror}. Look for damage with %hub_cache --verify."
            ) from error

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    @property
    def _receipt(self) -> bytes:
        """What tells these files from earlier ones of the same names."""
        return "".join(f"{file.size} {file.changed} {file.name}\n" for file in self.files).encode()
