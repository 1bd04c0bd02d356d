"""Facts as text and HTML."""
