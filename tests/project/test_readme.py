"""The README is true to the word: every session in it is run, and must print what stands there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import demo_host
import pytest
from kernel import TensorFlowKernel
from repository import REPOSITORY
from sessions import replay

from hub_magic.host import ModelHost

host = demo_host.host  # a fixture
README = REPOSITORY / "README.md"
PORT = "127.0.0.1:8000"


@pytest.mark.tensorflow
@pytest.mark.kernel
def test_readme_sessions_print_what_the_page_shows(host: ModelHost, tmp_path: Path) -> None:
    home = tmp_path / "home"
    names = {host.url.removeprefix("http://"): PORT, str(home): "/home/you", os.uname().nodename: "laptop"}
    with TensorFlowKernel(tmp_path / "kernel", HOME=str(home), no_proxy="127.0.0.1,localhost") as kernel:
        assert replay(README, kernel, names) >= 1


def test_readme_links_lead_to_existing_files() -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README.read_text())
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []
