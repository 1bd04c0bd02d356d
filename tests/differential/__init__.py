"""Situations that run in two fresh processes, plain tensorflow_hub and with the extension, and are compared."""
