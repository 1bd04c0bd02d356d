"""Fixtures for tests against the stand-in for Google Cloud Storage."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from fork_server import run_python
from gcs_stand_in import GcsStandIn
from repository import process_environment


@pytest.fixture
def storage() -> Iterator[GcsStandIn]:
    """Yield the stand-in, with a bucket named "models"; this process does not use it."""
    with GcsStandIn() as stand_in:
        stand_in.create_bucket("models")
        yield stand_in


@pytest.fixture
def gcs(storage: GcsStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GcsStandIn:
    """Return the stand-in; this process uses it with a service account's key."""
    for name, value in storage.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return storage


def run(code: str, environment: dict[str, str], *, timeout: float = 240) -> str:
    """Return the output of a separate process."""
    done = run_python("-c", textwrap.dedent(code), env=process_environment(**environment), timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
