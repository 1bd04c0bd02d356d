"""The magics: parse a line, make one call, give back what it returns."""
