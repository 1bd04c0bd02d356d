"""Situations in which the extension is worse than plain today, and why; who mends one removes its name."""

_BY_REASON: dict[str, tuple[str, ...]] = {}
KNOWN_DEFECTS = {name: reason for reason, names in _BY_REASON.items() for name in names}
