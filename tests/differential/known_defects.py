"""Situations in which the extension is worse than plain today, and why; who mends one removes its line."""

KNOWN_DEFECTS: dict[str, str] = {}
