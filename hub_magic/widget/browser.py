"""The cache browser as Python sees it: every button of the view calls a method of this object."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..cache import CachedModel, CacheScan
from ..cache.refresh import Survey, with_last_use
from ..cache.scan import damage_problem, in_order
from ..cache.selection import select
from ..cache.verify import Verification
from ..care.prune import plan_prune
from ..care.remove import Removal, Removed, plan_removal
from ..download import loaded_folders
from ..errors import NotCachedError
from ..locations import absolute
from ..progress import Progress, in_kernel, no_progress
from ..quantities import parse_size
from ..render.cache import saved_html, static_html, static_text
from ..settings import read_cache
from ..store import list_cache, rescan, verify
from .details import ModelDetails, describe, load_line, tags_of

if TYPE_CHECKING:
    from ..care.repair import Repaired
    from ..download import Fetched
    from ..download.new_entry import MakeBar
    from .channel import CacheView, Channel


# The first paint waits for this many sizes, but for this many seconds at most.
_FEW = 1000
_MOST_LOOKED_AT = 50
_FIRST_LOOK = 0.15


class CacheBrowser:
    """A cache to look at and to act on.

    In a notebook the browser shows as a view, and `selection` returns the models selected there. `which`
    takes handles, names, unambiguous parts of either, or models; without any it means the selected models.

    Args:
        location: the cache's directory; the current one when None.
        listed: a fresh list of the cache, if the caller has one.

    Raises:
        SettingError: the location cannot be listed.

    Example:
        >>> browse().selection
        ()
    """

    def __init__(self, location: str | None = None, *, listed: CacheScan | None = None) -> None:
        given = read_cache().value if location is None else location
        # Make the path absolute: a variable may hold a relative one, and the kernel may change directory.
        self.location = absolute(given)
        listed = listed or list_cache(self.location)
        self._survey = Survey(listed, (model for model in listed.models if not model.is_measured))
        self._selected: tuple[str, ...] = ()
        self._acting = threading.RLock()  # held while files or known models change
        self._channel: Channel | None = None

    def __repr__(self) -> str:
        return f"<CacheBrowser of {self.location}>"

    def __str__(self) -> str:
        return static_text(self.scan)

    def _repr_mimebundle_(self, **_which: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if not in_kernel():
            return {"text/plain": static_text(self.scan)}, {}
        if len(self._survey.scan().models) <= _FEW:
            self._survey.look(_FIRST_LOOK)
        # A bundle works with ipywidgets 7 too, whose widgets display themselves. The widget's metadata stay:
        # in Colab they name what the front end needs.
        data, metadata = self.view._repr_mimebundle_() or ({}, {})
        so_far = self._survey.scan()
        sys.modules["IPython"].get_ipython().display_pub.publish({"text/html": saved_html(so_far)})
        return {**data, "text/plain": static_text(so_far), "text/html": static_html(so_far)}, metadata

    @property
    def view(self) -> CacheView:
        """The widget itself, for custom layouts."""
        if self._channel is None:
            from .channel import Channel  # imports anywidget, which takes longer than all the rest

            self._channel = Channel(self, self._survey)
        return self._channel.view

    @property
    def scan(self) -> CacheScan:
        """The cache and its sizes, as of the last look."""
        survey = self._survey
        while not survey.is_done:
            survey.look(1)
        return survey.scan()

    def loaded(self) -> Collection[str]:
        """The paths of the entries that this kernel has loaded."""
        return loaded_folders()

    @property
    def selection(self) -> tuple[CachedModel, ...]:
        """The models selected in the view, or by `select`."""
        models = {model.folder: model for model in self._survey.scan().models}
        return tuple(models[folder] for folder in self._selected if folder in models)

    @property
    def code(self) -> str:
        """Python that loads the selected models, a line for each model."""
        chosen = self.selection
        looked_at = len(chosen) <= _MOST_LOOKED_AT
        return "\n".join(load_line(model, tags_of(model) if looked_at else ()) for model in chosen)

    def select(self, *which: str | CachedModel, show: bool = True) -> tuple[CachedModel, ...]:
        """Select these models, or none, and return them.

        Args:
            which: handles, names, parts of either, or models.
            show: whether the view selects them too; a click in the view needs no reply.

        Raises:
            NotCachedError: a word matches no model, or more than one.
        """
        self._selected = tuple(model.folder for model in self._models(which)) if which else ()
        if show and self._channel:
            self._channel.show_selection(self._selected)
        return self.selection

    def describe(self, which: str | CachedModel) -> ModelDetails:
        """Return the files and signatures of one model, and a line that loads it.

        Raises:
            NotCachedError: the word matches no model, or more than one.
            OSError: its folder cannot be read.
        """
        return describe(self._models((which,))[0])

    def refresh(self) -> CacheScan:
        """Look at the cache again and return it; files that have not changed are not read again."""
        with self._acting:
            scan = rescan(self.scan)
            return self._replace(tuple(with_last_use(model) for model in scan.models), scan)

    def plan_removal(self, *which: str | CachedModel) -> Removal:
        """Return what removing these models would remove and free, and what would stay, and why.

        Raises:
            NotCachedError: a word matches no model, or more than one; or no model is selected.
        """
        folders = [model.folder for model in self._models(which)]
        return plan_removal(folders, self.scan, loaded=self.loaded)

    def plan_prune(self, max_size: str | int) -> Removal:
        """Return the least recently used models to remove until the others take at most `max_size` ("5GB").

        Raises:
            SettingError: the text is not a size.
        """
        size = parse_size(max_size) if isinstance(max_size, str) else max_size
        return plan_prune(self.scan, max_size=size, loaded=self.loaded)

    def carry_out(self, plan: Removal, progress: Progress = no_progress) -> Removed:
        """Carry out a plan and return what was removed. Entries changed since, or now in use, stay.

        Args:
            plan: a plan of `plan_removal` or `plan_prune`.
            progress: told the bytes of each model that is done.
        """
        with self._acting:
            # raises CancelledError if the job was cancelled while waiting for the lock
            progress(0)
            try:
                return plan.execute(progress)
            finally:
                self.refresh()

    def remove(self, *which: str | CachedModel) -> Removed:
        """Remove these models. Models being downloaded, or loaded in this kernel, stay.

        Raises:
            NotCachedError: a word matches no model, or more than one; or no model is selected.
        """
        return self.carry_out(self.plan_removal(*which))

    def prune(self, max_size: str | int) -> Removed:
        """Remove the least recently used models, until the others take at most `max_size` ("5GB").

        Raises:
            SettingError: the text is not a size.
        """
        return self.carry_out(self.plan_prune(max_size))

    def verify(
        self, *which: str | CachedModel, deep: bool = False, progress: Progress = no_progress
    ) -> Verification:
        """Check that models are intact, and return what was found.

        Args:
            which: handles, names, parts of either, or models; all when none is named.
            deep: whether to read every file to its end.
            progress: told the number of further models that are done; bytes when `deep`.

        Raises:
            NotCachedError: a word matches no model, or more than one.
        """
        with self._acting:
            scan = self.scan
            found = verify(scan, self._models(which) if which else None, deep=deep, progress=progress)
            damage = {one.model.folder: one.damage for one in found.checked}
            self._replace(tuple(_with_damage(model, damage) for model in scan.models), scan)
            return found

    def repair(self, *which: str | CachedModel, bar: MakeBar | None = None) -> Repaired:
        """Download damaged models again, and remove partial downloads and stale locks.

        Args:
            which: handles, names, parts of either, or models; the whole cache when none is named.
            bar: makes a bar for a download; the usual bar when None.

        Raises:
            NotCachedError: a word matches no model, or more than one.
        """
        from ..care.repair import plan_repair

        with self._acting:
            plan = plan_repair(self.verify(*which))
            try:
                return plan.execute(bar=bar)
            finally:
                self.refresh()

    def fetch(self, handle: str, *, bar: MakeBar | None = None) -> Fetched:
        """Return a model from the cache, downloaded first if it is not cached.

        Args:
            handle: the model's URL, as `hub.load` takes it.
            bar: makes a bar for the download; the usual bar when None.

        Raises:
            HubMagicError: it cannot be fetched; the message says why.
        """
        from ..download import fetch

        try:
            return fetch(handle, location=self.location, bar=bar)
        finally:
            self.refresh()

    def _models(self, which: Collection[str | CachedModel]) -> tuple[CachedModel, ...]:
        """Return the matching models, as of the last look."""
        if not which:
            if not self.selection:
                raise NotCachedError("No model is selected. Select one in the table, or give its name.")
            return self.selection
        words = [one if isinstance(one, str) else one.folder for one in which]
        known = {model.folder: model for model in self._survey.scan().models}
        # spares a search for each of thousands
        if all(word in known for word in words):
            return tuple(known[word] for word in words)
        return select(self._survey.scan(), words)

    def _replace(self, models: tuple[CachedModel, ...], scan: CacheScan) -> CacheScan:
        """Replace the known models, here and in the view, and return the scan."""
        others = (problem for problem in scan.problems if problem.kind != "damaged")
        damaged = (problem for model in models if (problem := damage_problem(model)))
        known = replace(scan, models=models, problems=in_order([*others, *damaged]))
        self._survey = Survey(known)
        if self._channel:
            self._channel.show_survey(self._survey)
        return known


def _with_damage(model: CachedModel, damage: Mapping[str, str]) -> CachedModel:
    found = damage.get(model.folder, model.damage)
    return model if found == model.damage else replace(model, damage=found)


def browse(location: str | os.PathLike[str] | None = None) -> CacheBrowser:
    """Return the cache browser, also for front ends without magics.

    Args:
        location: a directory or a gs:// address; the cache in force when None.

    Raises:
        SettingError: the location cannot be listed.

    Example:
        >>> browse().scan.models[0].name
        'model'
    """
    return CacheBrowser(None if location is None else os.fspath(location))
