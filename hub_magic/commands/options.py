"""The options of the magics, each described once."""

from __future__ import annotations

from argparse import SUPPRESS
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Option:
    """An argument as argparse takes it.

    Attributes:
        names: the flags, or the one name of a positional argument.
        settings: what else `add_argument` is told; `help` is the only place where an option is described.
    """

    names: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The attribute under which argparse gives its value."""
        return self.names[-1].lstrip("-").replace("-", "_")


def option(*names: str, **settings: Any) -> Option:
    """An argument as argparse takes it."""
    return Option(names, settings)


def unquoted(text: str) -> str:
    """The text without the quotes around it, which IPython's splitting of a magic's line keeps."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


MODE = option(
    "mode",
    nargs="?",
    type=unquoted,
    help="compressed, uncompressed, auto or offline; without it, what is in force",
)
PERSIST = option("--persist", action="store_true", help="save the setting in this IPython profile too")
AUTOLOAD = option(
    "--autoload", action="store_true", help="with --persist: load hub_magic at every start as well"
)
FORGET = option("--forget", action="store_true", help="save the setting no longer")
LEGACY_KERAS = option(
    "--legacy-keras",
    action="store_true",
    help="make tf.keras Keras 2, whose models take hub.KerasLayer; before TensorFlow is imported",
)

LOCATION = option(
    "location",
    nargs="?",
    type=unquoted,
    help="cache models there: a directory, gs://bucket/path, or `default`",
)
LIST = option(
    "--list", action="store_true", help="the cached models as a table; .models, .problems, .to_json()"
)
FETCH = option("--fetch", nargs="+", metavar="HANDLE", type=unquoted, help="download these models now")
FORCE = option(
    "--force", action="store_true", help="with --fetch: download a model again that is cached and intact"
)
TIMEOUT = option(
    "--timeout",
    metavar="SECONDS",
    type=unquoted,
    help="with --fetch: wait so many seconds for a silent host, and longer at each further try",
)
RESOLVE = option(
    "--resolve", metavar="HANDLE", type=unquoted, help="the model's directory, as hub.resolve gives it"
)

REMOVE = option(
    "--remove",
    nargs="+",
    metavar="HANDLE",
    type=unquoted,
    help="remove these models: by handle, name, a part of either, or folder name",
)
PRUNE = option("--prune", action="store_true", help="remove the models that the following rules name")
MAX_SIZE = option(
    "--max-size",
    metavar="SIZE",
    type=unquoted,
    help="prune what was used longest ago until the models take no more than this: 5GB, 500MB",
)
OLDER_THAN = option(
    "--older-than",
    metavar="PERIOD",
    type=unquoted,
    help="prune what was last used longer ago than this: 12h, 30d, 4w, 1y",
)
DUPLICATES = option(
    "--duplicates", action="store_true", help="prune all but one copy of a model cached under several handles"
)
KEEP = option(
    "--keep",
    nargs="+",
    metavar="HANDLE",
    type=unquoted,
    help="prune, but keep the models that these words fit",
)
KEEP_NEWEST = option(
    "--keep-newest",
    metavar="N",
    type=int,
    help="prune, but keep the N newest versions of each model; alone, remove all others",
)
VERIFY = option(
    "--verify",
    nargs="*",
    metavar="HANDLE",
    type=unquoted,
    help="check by names and sizes that these models, or all of them, are whole",
)
REPAIR = option(
    "--repair",
    nargs="*",
    metavar="HANDLE",
    type=unquoted,
    help="check these models, or all of them, take away what the dead left, and download damaged ones again",
)
DEEP = option(
    "--deep",
    action="store_true",
    help="with --verify or --repair: read every file and every tensor, and compare checksums",
)
COPY_TO = option(
    "--copy-to",
    metavar="LOCATION",
    type=unquoted,
    help="copy the models that are not there yet to gs://bucket/path; or from a bucket, to a directory",
)
ADD = option(
    "--add",
    nargs="*",
    metavar="WORD",
    type=unquoted,
    help="put a model into the cache: HANDLE PATH, a directory, .tar or .tar.gz; with --all, every model "
    "that --export --all wrote: DIRECTORY",
)
EXPORT = option(
    "--export",
    nargs="*",
    metavar="WORD",
    type=unquoted,
    help="write a model to an archive: HANDLE FILE, a .tar.gz or .tar; with --all, every model, for a "
    "machine without a network: DIRECTORY",
)
MOVE_TO = option(
    "--move-to",
    metavar="LOCATION",
    type=unquoted,
    help="move the whole cache to another directory, and cache there from now on",
)
ALL = option(
    "--all",
    action="store_true",
    help="with --list: what other caches on this machine hold, too; with --add or --export: every model",
)
DRY_RUN = option(
    "--dry-run",
    action="store_true",
    help="only show what would be done; in a notebook, plan.execute() does it",
)

CACHE = (
    LOCATION,
    LIST,
    FETCH,
    FORCE,
    TIMEOUT,
    RESOLVE,
    REMOVE,
    PRUNE,
    MAX_SIZE,
    OLDER_THAN,
    DUPLICATES,
    KEEP,
    KEEP_NEWEST,
    VERIFY,
    REPAIR,
    DEEP,
    ADD,
    EXPORT,
    MOVE_TO,
    COPY_TO,
    ALL,
    DRY_RUN,
    PERSIST,
    AUTOLOAD,
    FORGET,
)

# What the cell form's first line is rewritten to; not for people.
CELL = option("--cell", action="store_true", help=SUPPRESS)
VIA = option(
    "--via",
    metavar="ROUTE",
    type=unquoted,
    default="auto",
    help="how the worker gets the files: auto, local, bucket, uncompressed, relay or localhost",
)
BUCKET = option(
    "--bucket", metavar="LOCATION", type=unquoted, help="a gs:// location to cache in while the cell runs"
)
STRATEGY = option(
    "--strategy", metavar="NAME", help="run the cell in the scope of this tf.distribute strategy of yours"
)
NO_INIT = option("--no-init", action="store_true", help="neither connect to the TPU nor initialise it")

ONLINE = option(
    "--online", action="store_true", help="ask the hosts of the cached models, and the bucket, as well"
)
REPORT = option(
    "--report",
    action="store_true",
    help="as text to paste into an issue, without home folders, tokens and account names",
)

# What each magic takes.
MAGICS = {
    "hub_mode": (MODE, LEGACY_KERAS, PERSIST, AUTOLOAD, FORGET),
    "hub_cache": CACHE,
    "hub_tpu": (CELL, VIA, BUCKET, STRATEGY, NO_INIT, PERSIST),
    "hub_doctor": (ONLINE, REPORT),
}
