"""Write constraints/*.txt anew: the newest versions for each Python, down to its micro version.

`scripts/with-python scripts/environments.py run newest scripts/constraints.py`, then `scripts/test --all`. uv
resolves once for every Python and platform; where versions differ, a line has the marker of its Pythons.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from environments import ENVIRONMENTS, OLDEST, ROOT, say

HEAD = "# Written by scripts/constraints.py; see its docstring.\n"


def main() -> None:
    """Resolve the requirements of each file's environments together, and write the file."""
    for name in sorted({environment.constraints for environment in ENVIRONMENTS.values()}):
        say(f"Resolving constraints/{name}.txt.")
        text = resolve(name)
        (ROOT / "constraints" / f"{name}.txt").write_text(HEAD + text, encoding="utf-8")


def resolve(name: str) -> str:
    """Return the lines of constraints/NAME.txt, without its head."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*compile_command(name, Path(folder)), "--universal", "--python-version", OLDEST]
        return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def compile_command(name: str, folder: Path) -> list[str]:
    """Return uv's command that resolves all requirements of the environments of constraints/NAME.txt.

    Args:
        name: the file's name without its ending.
        folder: the folder for a file of requirements.
    """
    using = [environment for environment in ENVIRONMENTS.values() if environment.constraints == name]
    groups = sorted({group for environment in using for group in environment.groups})
    pins = sorted({"pip", *(pin for environment in using for pin in environment.pins)})
    wanted = folder / "requirements.in"
    wanted.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url"]
    command += [str(ROOT / "pyproject.toml"), str(wanted)]
    command += [word for group in groups for word in ("--group", f"{ROOT / 'pyproject.toml'}:{group}")]
    if any(environment.tensorflow for environment in using):
        command += ["--extra", "tensorflow"]
    return command


if __name__ == "__main__":
    main()
