"""The places where the doctor runs, and where its lines are run: a shell, and a notebook."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kernel import Kernel
from repository import REPOSITORY

from hub_magic import Finding

# Variables that the computer of the tests may need for its own access to the internet.
NETWORK = (
    *("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


class Findings(tuple[Finding, ...]):
    """The findings of a diagnosis."""

    __slots__ = ()

    def the(self, name: str) -> Finding:
        """Return the worst finding of this name."""
        order = ("problem", "warning", "unknown", "fine")
        found = sorted((one for one in self if one.name == name), key=lambda one: order.index(one.state))
        assert found, f"{name} is not among {[one.name for one in self]}"
        return found[0]


class Shell:
    """A shell in which `hub-magic doctor` is run.

    Args:
        home: the home folder, with a working directory in it.
        python: the Python with the packages to check.
    """

    in_notebook = False

    def __init__(self, home: Path, python: str = sys.executable) -> None:
        self.home = home
        self.work = home / "work"
        self.work.mkdir(exist_ok=True)
        self.python = python
        self.env = {name: value for name, value in os.environ.items() if name not in NETWORK}
        self.env |= {"HOME": str(home), "PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "error"}

    def set(self, variables: Mapping[str, str]) -> None:
        """Set these variables from now on."""
        self.env |= variables

    def do(self, line: str) -> None:
        """Run a line, and keep its changes to the environment."""
        dump = f"{shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
        done = self._run(["sh", "-ec", f"{{ {line}\n}} >&2\n{dump}"])
        assert done.returncode == 0, done.stderr
        self.env = json.loads(done.stdout)

    def look(self, *options: str) -> Findings:
        """Return the doctor's findings, and check that its status says whether there are problems."""
        done = self.run(*options, "--json")
        findings = json.loads(done.stdout)["findings"]
        assert done.returncode == any(one["state"] == "problem" for one in findings), done.stderr
        return Findings(Finding(**one) for one in findings)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run `hub-magic doctor`."""
        done = self._run([self.python, "-m", "hub_magic", "doctor", *options])
        assert done.stderr == ""
        return done

    def _run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=self.work, env=self.env, capture_output=True, text=True, check=False)


class Notebook:
    """A kernel with the magics, in which `%hub_doctor` is run."""

    in_notebook = True

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.home = Path(kernel.env["HOME"])
        self.work = kernel.home / "work"
        kernel.ok(
            "import os, json\nos.environ.clear(); os.environ.update(_clean)\n"
            "%reload_ext hub_magic\nget_ipython().run_line_magic('cd', '-q ' + _work)"
        )

    def set(self, variables: Mapping[str, str]) -> None:
        """Set these variables from now on."""
        self.kernel.ok(f"os.environ.update({dict(variables)!r})")

    def do(self, line: str) -> None:
        """Run a line in a cell."""
        self.kernel.ok(line)

    def look(self, *options: str) -> Findings:
        """Return the doctor's findings."""
        self.kernel.ok(f"_found = %hub_doctor {' '.join(options)}")
        findings = json.loads(self.kernel.value("_found.to_json()"))["findings"]
        return Findings(Finding(**one) for one in findings)


def start_notebook(home: Path, where: Path) -> Kernel:
    """Return a kernel, not yet entered, for notebooks that share it; `prepare` it after entering."""
    env = {**dict.fromkeys(NETWORK, ""), "HOME": str(home)}
    return Kernel(where, **env)


def prepare(kernel: Kernel) -> None:
    """Record the state of a fresh notebook."""
    kernel.ok(
        "import os\n_clean = {name: value for name, value in os.environ.items() if value}\n"
        "_work = os.getcwd()\n%load_ext hub_magic"
    )


def mended(place: Shell | Notebook, name: str, state: str, *, says: str = "") -> Finding:
    """Return the finding of this name, which must have this state; run its fix and check that it is gone."""
    found = place.look().the(name)
    assert found.state == state, found
    assert says in found.found, found
    assert found.fix, found
    place.do(found.fix)
    after = place.look()
    left = [one for one in after if one.name == name and one.state != "fine"]
    assert left == [], (found.fix, left)
    return found
