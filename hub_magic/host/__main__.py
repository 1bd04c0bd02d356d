"""The command `python -m hub_magic.host DIRECTORY`."""

from __future__ import annotations

import argparse
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING

from . import HostError, ModelHost

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, and return the exit status: 0, or 2 if the host cannot start."""
    given = _parser().parse_args(arguments)
    # A signal handler may run while its own thread holds an Event's lock, and would then wait for itself.
    # Python itself writes each signal's number into this socket.
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda _number, _frame: None)
    try:
        with ModelHost(
            given.directory,
            gcs=dict(given.gcs),
            port=given.port,
            bind=given.bind,
            cache_directory=given.cache_directory,
            verbose=True,
        ) as host:
            count = len(host.handles)
            sys.stdout.write(f"Serving {count} model{'s' * (count != 1)} of {host.directory} at {host.url}\n")
            sys.stdout.flush()
            heard.recv(1)
    except HostError as error:
        sys.stderr.write(f"hub_magic.host: {error}\n")
        return 2
    finally:
        signal.set_wakeup_fd(-1)
        heard.close()
        told.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hub_magic.host",
        description="Serve a folder of models over HTTP, in TensorFlow Hub's hosting protocol.",
    )
    parser.add_argument(
        "directory", help="holds models as PUBLISHER/NAME/VERSION/ folders or PUBLISHER/NAME/VERSION.tar.gz"
    )
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0 picks a free one")
    parser.add_argument(
        "--bind",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="listen on this address; default: 127.0.0.1, for this computer only; 0.0.0.0 for all others",
    )
    parser.add_argument(
        "--gcs",
        metavar="HANDLE=gs://...",
        type=_bucket,
        action="append",
        default=[],
        help="the bucket folder of a model, given to clients that load uncompressed; may be repeated",
    )
    parser.add_argument(
        "--cache-directory",
        metavar="DIRECTORY",
        help="keep the archives made of folders here; default: a temporary directory",
    )
    return parser


def _bucket(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+?)=(gs://.+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HANDLE=gs://BUCKET/FOLDER")
    return match[1], match[2]


if __name__ == "__main__":
    sys.exit(main())
