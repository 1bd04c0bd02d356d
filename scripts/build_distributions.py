"""Make the wheel and the sdist; `scripts/build` runs this in an environment that has the build backend."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Return the exit status: 0 when both were made."""
    parser = argparse.ArgumentParser(
        prog="scripts/build",
        description="Make the sdist, and the wheel from the sdist. The last line is the wheel's path.",
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "dist", help="where the two files go; default: dist"
    )
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # Build in a new folder first: dist keeps the files of other versions, and never shows a partial one.
    with tempfile.TemporaryDirectory(prefix=".build_", dir=folder) as scratch:
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", scratch, str(ROOT)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            return 1
        made = [path.replace(folder / path.name) for path in sorted(Path(scratch).iterdir())]
    (wheel,) = (path for path in made if path.suffix == ".whl")
    (sdist,) = (path for path in made if path != wheel)
    print(
        f"The sdist is {sdist}\n"
        f"To install the wheel on Colab or Kaggle, upload it there and run: %pip install {wheel.name}"
    )
    print(wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
