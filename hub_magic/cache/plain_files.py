"""Files opened without waiting for anybody.

Anything may stand in a cache under a file's name, and opening a pipe waits until somebody writes to it.
"""

from __future__ import annotations

import errno
import os
import stat

_AT_ONCE = getattr(os, "O_NONBLOCK", 0)


def open_plain(path: str, flags: int) -> int:
    """The number of a plain file that has been opened, as `open` takes it for its `opener`.

    Raises:
        OSError: it is something else, or cannot be opened.
    """
    number = os.open(path, flags | _AT_ONCE)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no plain file", path)
    return number
