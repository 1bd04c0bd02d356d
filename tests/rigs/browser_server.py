"""Run a Jupyter server whose kernels are forked from a process that has imported ipykernel: `MODULE OPTION ...`.

Each kernel is as fresh as one that is launched, see `fork_server.py`. Everything else is the module's own.
"""

from __future__ import annotations

import faulthandler
import os
import runpy
import signal
import sys
import traceback
from typing import Any

import fork_server
from jupyter_client.provisioning import local_provisioner


def main() -> None:
    faulthandler.register(signal.SIGUSR1)  # all threads' stacks, for the report on a failed test
    # The import continues while the server starts, and while the browser loads the page.
    server = fork_server.server(fork_server.KERNEL)

    def launch(command: list[str], **options: Any) -> fork_server.ForkedProcess:
        known = ("cwd", "stdout", "stderr")
        given = {name: options[name] for name in known if options.get(name) is not None}
        return server.start(command[1:], env=options["env"], start_new_session=True, **given)

    local_provisioner.launch_kernel = launch
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except BaseException as error:  # noqa: BLE001 - SystemExit at its end
        if not isinstance(error, SystemExit) or error.code:
            traceback.print_exc()
    finally:
        # Python would wait for a thread that anyio 4 may lose. The fork server ends with its connection.
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
