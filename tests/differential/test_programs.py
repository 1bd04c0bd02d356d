"""Programs that load a model in every way, and that catch what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from differential_process import PROGRAMS
from faulty_host import Fault

from .situation import Situation, examine, parameters

pytestmark = pytest.mark.tensorflow

ANSWERS = {
    "by_code": Fault(status=404, body=b""),
    "catching_OSError": Fault(status=404, body=b""),
    "catching_ValueError": Fault(status=404, body=b""),
}
UNCOMPRESSED = {"TFHUB_MODEL_LOAD_FORMAT": "UNCOMPRESSED"}
QUICK = {"program catching_OSError, not cached", "program reloaded, offline"}


def situations() -> Iterator[Situation]:
    def situation(name: str, **options: object) -> Situation:
        name = f"program {name}"
        return Situation(name, quick=name in QUICK, **options)  # type: ignore[arg-type]

    for program in PROGRAMS:
        fault = ANSWERS.get(program, Fault())
        yield situation(f"{program}, not cached", program=program, fault=fault)
        yield situation(f"{program}, cached", program=program, fault=None, cached="plain")
    for program in ("catching_OSError", "catching_ValueError"):
        missing = {"program": program, "fault": Fault(status=404, body=b"")}
        yield situation(f"{program}, uncompressed", environment=UNCOMPRESSED, **missing)
        yield situation(f"{program}, gone", program=program, fault=None)
        yield situation(f"{program}, no model", program=program, kind="tflite")
        yield situation(f"{program}, HTML", program=program, fault=Fault(body=b"<html>" * 500))
    yield situation("by_code, 403", program="by_code", fault=Fault(status=403, body=b""))
    yield situation(
        "reloaded, offline",
        program="reloaded",
        environment={"HUB_MAGIC_OFFLINE": "1"},
        differs="offline mode asks no host, and plain has no such mode",
    )


@pytest.mark.parametrize("situation", parameters(situations()))
def test_program_works_as_with_plain(
    situation: Situation, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _, ours = examine(situation, tmp_path, record_property)
    if "offline" in situation.name:
        assert not ours.seen
