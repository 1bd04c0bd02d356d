"""The command line `hub-magic`."""
