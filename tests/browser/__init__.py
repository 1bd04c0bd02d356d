"""A package, so that Chromium and the server end with its last test."""
