"""Facts as text, without IPython."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
import hub_magic
scan = hub_magic.scan_cache(sys.argv[1])
assert str(scan) == f"{scan}"
print(scan)
print(repr(scan)[:10])
assert "IPython" not in sys.modules
"""


def test_print_in_a_script_writes_the_table(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "none")], capture_output=True, text=True, check=True
    )
    text, written = ran.stdout.splitlines()
    assert text.startswith(f"{tmp_path / 'none'}: no models yet")
    assert written == "CacheScan("
