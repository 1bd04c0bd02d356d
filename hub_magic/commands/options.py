"""The options of the magics, each described once."""

from __future__ import annotations

from argparse import SUPPRESS
from dataclasses import dataclass, field
from typing import Any

from .slips import Quoted, is_quoted


@dataclass(frozen=True)
class Option:
    """An argument of argparse.

    Attributes:
        names: the flags, or the one name of a positional argument.
        settings: further arguments of `add_argument`; `help` is the only description of an option.
        group: the heading of the help under which the option stands; "" for an option that is not shown.
    """

    names: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    group: str = ""

    @property
    def key(self) -> str:
        """The attribute of the parsed arguments that has its value."""
        return self.names[-1].lstrip("-").replace("-", "_")


def option(*names: str, group: str = "", **settings: Any) -> Option:
    """Return an argument of argparse."""
    return Option(names, settings, group)


def unquoted(text: str) -> str:
    """Return the text without its quotes, which IPython keeps when it splits a magic's line."""
    return Quoted(text[1:-1]) if not isinstance(text, Quoted) and is_quoted(text) else text


MODE = option(
    "mode",
    nargs="?",
    type=unquoted,
    help="compressed, uncompressed, auto or offline; without it, show the current mode",
    group="settings",
)
PERSIST = option(
    "--persist", action="store_true", help="also save the setting in this IPython profile", group="settings"
)
AUTOLOAD = option(
    "--autoload",
    action="store_true",
    help="with --persist: also load hub_magic at every start",
    group="settings",
)
FORGET = option("--forget", action="store_true", help="remove the saved setting", group="settings")
LEGACY_KERAS = option(
    "--legacy-keras",
    action="store_true",
    help="make tf.keras Keras 2, which accepts hub.KerasLayer; run it before TensorFlow is imported",
    group="settings",
)

LOCATION = option(
    "location",
    nargs="?",
    type=unquoted,
    help="cache models in this location: a directory, gs://bucket/path, or `default`",
    group="settings",
)
LIST = option(
    "--list",
    nargs="*",
    metavar="FILE",
    type=unquoted,
    help="list the cached models as a table; .models, .problems, .to_json(). With a notebook, script or "
    "folder: list the models that its code names, and which of them are cached",
    group="show",
)
FETCH = option(
    "--fetch",
    nargs="+",
    metavar="HANDLE",
    type=unquoted,
    help="download these models now: URLs, or a notebook, script or folder whose code names them",
    group="get",
)
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
    "--resolve",
    metavar="HANDLE",
    type=unquoted,
    help="print the model's directory, like hub.resolve",
    group="show",
)

REMOVE = option(
    "--remove",
    nargs="+",
    metavar="HANDLE",
    type=unquoted,
    help="remove these models: by handle, name, a part of either, or folder name",
    group="clean",
)
PRUNE = option(
    "--prune", action="store_true", help="remove the models that match the rules below", group="clean"
)
MAX_SIZE = option(
    "--max-size",
    metavar="SIZE",
    type=unquoted,
    help="prune the least recently used models until the rest takes at most this: 5GB, 500MB",
    group="clean",
)
OLDER_THAN = option(
    "--older-than",
    metavar="PERIOD",
    type=unquoted,
    help="prune models last used longer ago than this: 12h, 30d, 4w, 1y",
    group="clean",
)
DUPLICATES = option(
    "--duplicates",
    action="store_true",
    help="prune all but one copy of a model cached under several handles",
    group="clean",
)
KEEP = option(
    "--keep",
    nargs="+",
    metavar="HANDLE",
    type=unquoted,
    help="prune, but keep the models that match these words",
    group="clean",
)
KEEP_NEWEST = option(
    "--keep-newest",
    metavar="N",
    type=int,
    help="prune, but keep the N newest versions of each model; alone, remove all others",
    group="clean",
)
VERIFY = option(
    "--verify",
    nargs="*",
    metavar="HANDLE",
    type=unquoted,
    help="check these models, or all of them, for damage by file names and sizes",
    group="show",
)
REPAIR = option(
    "--repair",
    nargs="*",
    metavar="HANDLE",
    type=unquoted,
    help="remove stale locks and interrupted downloads, and re-download damaged models (these, or all)",
    group="clean",
)
DEEP = option(
    "--deep",
    action="store_true",
    help="with --verify or --repair: read every file and every tensor, and compare checksums",
    group="show",
)
COPY_TO = option(
    "--copy-to",
    metavar="LOCATION",
    type=unquoted,
    help="copy the missing models to gs://bucket/path, or from a bucket to a directory",
    group="move",
)
ADD = option(
    "--add",
    nargs="*",
    metavar="HANDLE PATH",
    type=unquoted,
    help="add a model to the cache from a directory, .tar or .tar.gz. With --all DIRECTORY: add every model "
    "that --export --all wrote",
    group="get",
)
EXPORT = option(
    "--export",
    nargs="*",
    metavar="HANDLE FILE",
    type=unquoted,
    help="write a model to an archive, .tar.gz or .tar. With --all DIRECTORY: write every model, for a "
    "computer without a network",
    group="move",
)
MOVE_TO = option(
    "--move-to",
    metavar="LOCATION",
    type=unquoted,
    help="move all models to another directory, and use it as the cache from now on",
    group="move",
)
ALL = option(
    "--all",
    action="store_true",
    help="with --list: also show other caches on this computer; with --add or --export: every model",
    group="move",
)
DRY_RUN = option(
    "--dry-run",
    action="store_true",
    help="only show what would be done; in a notebook, plan.execute() does it",
    group="clean",
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

# The rewritten first line of the cell form uses this option; people do not.
CELL = option("--cell", action="store_true", help=SUPPRESS)
VIA = option(
    "--via",
    metavar="ROUTE",
    type=unquoted,
    default="auto",
    help="how the worker gets the files: auto, local, bucket, uncompressed, relay or localhost",
    group="settings",
)
BUCKET = option(
    "--bucket",
    metavar="LOCATION",
    type=unquoted,
    help="a gs:// location to cache in while the cell runs",
    group="settings",
)
STRATEGY = option(
    "--strategy",
    metavar="NAME",
    help="run the cell in the scope of this tf.distribute strategy, a variable",
    group="settings",
)
NO_INIT = option(
    "--no-init", action="store_true", help="do not connect to the TPU or initialise it", group="settings"
)

ONLINE = option(
    "--online",
    action="store_true",
    help="also ask the hosts of the cached models, and the bucket",
    group="show",
)
REPORT = option(
    "--report",
    action="store_true",
    help="print text to paste into an issue, without home folders, tokens and account names",
    group="show",
)

HELP = option("-h", "--help", action="store_true", group="settings", help="print this help; run nothing")

GROUPS = ("show", "get", "clean", "move", "settings")

# The options of each magic.
MAGICS = {
    "hub_mode": (MODE, LEGACY_KERAS, PERSIST, AUTOLOAD, FORGET),
    "hub_cache": CACHE,
    "hub_tpu": (CELL, VIA, BUCKET, STRATEGY, NO_INIT, PERSIST),
    "hub_doctor": (ONLINE, REPORT),
}

# Lines that the help of each magic ends with.
EXAMPLES = {
    "hub_mode": ("%hub_mode offline", "%hub_mode auto --persist", "mode = %hub_mode"),
    "hub_cache": (
        "%hub_cache ~/models --persist",
        "%hub_cache --fetch https://tfhub.dev/google/nnlm-en-dim50/2",
        "%hub_cache --prune --max-size 5GB --dry-run",
    ),
    "hub_tpu": ("%hub_tpu", "%%hub_tpu --via relay", "%%hub_tpu --bucket gs://my-bucket/models"),
    "hub_doctor": ("%hub_doctor", "%hub_doctor --online", "%hub_doctor --report"),
}
