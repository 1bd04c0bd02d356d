"""Choose the entries that a policy removes: too old, too many, or more than fit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ..cache.entry import CachedModel
from ..cache.scan import CacheScan
from ..cache.selection import find_duplicates, label, select
from ..download.resolver import loaded_folders
from ..errors import HandleError, SettingError
from ..handles import parse_handle
from ..quantities import parse_period, parse_size
from ..store import scan_cache
from .remove import Choice, Loaded, Removal, protections


def plan_prune(
    scan: CacheScan | None = None,
    *,
    max_size: int | str | None = None,
    older_than: timedelta | str | None = None,
    keep: Iterable[str] = (),
    keep_newest: int | None = None,
    duplicates: bool | Sequence[Sequence[CachedModel]] = False,
    loaded: Loaded = loaded_folders,
    now: datetime | None = None,
) -> Removal:
    """Return the removal of what a policy does not want; its `execute()` carries it out.

    Each of `older_than`, `duplicates` and `max_size` removes entries, in this order; `keep` and
    `keep_newest` protect entries from all of them. `keep_newest` alone removes all other versions. An
    entry whose handle is not known counts as a model of its own.

    Args:
        scan: what is in the cache, with sizes; the cache in force when None.
        max_size: bytes that the models may take, or a text such as "5GB"; the least recently used models go
            first.
        older_than: how long ago a model must have been used last, or a text such as "30d". The time of the
            download counts where no use is known.
        keep: handles, names, or parts of either, of models that stay.
        keep_newest: how many versions of each model stay.
        duplicates: True to keep one copy alone of each model that is cached under several handles; or groups
            of equal entries.
        loaded: returns the paths of the entries that this process has loaded.
        now: the time to count from; the clock's when None.

    Raises:
        SettingError: no rule says what may go, or a number makes no sense.
        NotCachedError: a word of `keep` means no entry.

    Example:
        >>> plan_prune(older_than="30d", max_size="5GB").size
        0
    """
    scan = scan_cache() if scan is None else scan
    max_size = parse_size(max_size) if isinstance(max_size, str) else max_size
    older_than = parse_period(older_than) if isinstance(older_than, str) else older_than
    groups = find_duplicates(scan) if duplicates is True else duplicates
    by_version = keep_newest is not None and max_size is None and older_than is None and groups is False
    _check(max_size, older_than, keep_newest, has_rule=by_version or groups is not False)
    locked = protections(scan, loaded)
    wanted = {model.folder: "protected by --keep" for model in select(scan, keep, several=True)}
    ranks = _ranks(scan.models) if keep_newest is not None else {}
    linked = {model.folder for model in scan.models if model.link}  # that a link goes frees nothing
    newest = {folder for folder, rank in ranks.items() if rank < (keep_newest or 0)}
    going: dict[str, str] = {}
    if by_version:
        going.update((model.folder, f"not among the newest {keep_newest}") for model in scan.models)
    if older_than is not None:
        since = (now or datetime.now()) - older_than  # noqa: DTZ005 - local time, as descriptors keep
        going.update(_older(scan.models, since))
    for group in groups or ():
        going.update(_copies(group, {*locked, *wanted, *linked}))
    stays = wanted.keys() | newest | linked
    going = {folder: reason for folder, reason in going.items() if folder not in stays}
    kept = {folder: locked[folder] for folder in going if folder in locked}
    going = {folder: reason for folder, reason in going.items() if folder not in locked}
    if max_size is not None:
        kept.update(_make_fit(scan.models, max_size, stays, locked, going))
    return Removal(
        scan.location,
        tuple(Choice(model, going[model.folder]) for model in scan.models if model.folder in going),
        tuple(Choice(model, kept[model.folder]) for model in scan.models if model.folder in kept),
        sum(max(model.size, 0) for model in scan.models if model.folder not in going),
        -1 if max_size is None else max_size,
        by_use=max_size is not None or older_than is not None,
        loaded=loaded,
    )


def last_used(model: CachedModel) -> datetime | None:
    """When a model was last used, else downloaded, in local time; None where neither is known."""
    # A descriptor, which comes from disk, may name a time zone; days are what matters here.
    return model.last_used or (model.downloaded and model.downloaded.replace(tzinfo=None))


def _check(
    max_size: int | None, older_than: timedelta | None, keep_newest: int | None, *, has_rule: bool
) -> None:
    if max_size is None and older_than is None and not has_rule:
        raise SettingError(
            "Say what to prune: --max-size 5GB, --older-than 30d, --keep-newest 1 or --duplicates."
        )
    if keep_newest is not None and keep_newest < 1:
        raise SettingError(f"--keep-newest {keep_newest} keeps nothing. Give 1 or more.")


def _older(models: Iterable[CachedModel], since: datetime) -> dict[str, str]:
    """The entries used last before that time; one of which nothing is known is no older than any."""
    return {
        model.folder: f"last used on {used:%Y-%m-%d}"
        for model in models
        if (used := last_used(model)) and used < since
    }


def _copies(group: Sequence[CachedModel], stays: set[str]) -> dict[str, str]:
    """All but the best of entries that hold the same model."""
    best = max(group, key=lambda model: (model.folder in stays, not model.damage, _order(model)))
    return {
        model.folder: f"the same model as {label(best)}" for model in group if model.folder != best.folder
    }


def _make_fit(
    models: Iterable[CachedModel],
    max_size: int,
    stays: set[str],
    locked: dict[str, str],
    going: dict[str, str],
) -> dict[str, str]:
    """Choose more entries into `going` until the rest fits; gives those that would go but are locked."""
    kept: dict[str, str] = {}
    measured = sorted((model for model in models if model.is_measured and not model.link), key=_order)
    left = sum(model.size for model in measured if model.folder not in going)
    for model in measured:
        if left <= max_size:
            break
        if model.folder in locked:
            kept[model.folder] = locked[model.folder]
        elif model.folder not in stays and model.folder not in going:
            going[model.folder] = "least recently used"
            left -= model.size
    return kept


def _order(model: CachedModel) -> datetime:
    """For sorting by last use; what nothing is known of counts as oldest."""
    return last_used(model) or datetime.min  # noqa: DTZ901 - local time, as descriptors keep


def _ranks(models: Iterable[CachedModel]) -> dict[str, int]:
    """How many newer versions of its model each entry has here; spellings of one version share a rank."""
    versions: dict[str, dict[tuple[int, str], list[str]]] = {}
    for model in models:
        name, version = _model_and_version(model)
        versions.setdefault(name, {}).setdefault(version, []).append(model.folder)
    return {
        folder: rank
        for of_model in versions.values()
        for rank, version in enumerate(sorted(of_model, reverse=True))
        for folder in of_model[version]
    }


def _model_and_version(model: CachedModel) -> tuple[str, tuple[int, str]]:
    try:
        handle = parse_handle(model.handle)
    except HandleError:
        return model.folder, (0, "")
    version = handle.version
    name = handle.canonical.removesuffix(f"/{version}") if version else handle.canonical
    return name, (int(version) if version.isdecimal() else 0, version)
