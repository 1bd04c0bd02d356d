"""Files opened without waiting for anybody, and without their looking as if they had been used.

Anything may stand in a cache under a file's name, and opening a pipe waits until somebody writes to it. And
"last used" is when a file was last read, so looking into one must not count as use.
"""

from __future__ import annotations

import errno
import os
import stat

_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
_UNNOTICED = getattr(os, "O_NOATIME", 0)


def open_plain(path: str, flags: int) -> int:
    """The number of a plain file that has been opened, as `open` takes it for its `opener`.

    Raises:
        OSError: it is something else, or cannot be opened.
    """
    try:
        number = os.open(path, flags | _AT_ONCE | _UNNOTICED)
    except PermissionError:  # only a file's owner may leave its time of access as it is
        number = os.open(path, flags | _AT_ONCE)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no plain file", path)
    return number
