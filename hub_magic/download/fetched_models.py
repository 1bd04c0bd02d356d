"""What `%hub_cache --fetch` gives back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fetching import Fetched


class FetchedModels(tuple["Fetched", ...]):
    """Models that are there now, in the order in which they were asked for."""

    __slots__ = ()

    def to_json(self) -> str:
        """The facts of each as JSON text."""
        return json.dumps([model.to_data() for model in self], indent=2)
