"""The magics: parse a line, make one call, return its result."""
