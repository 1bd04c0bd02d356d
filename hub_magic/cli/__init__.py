"""What can be done with a cache, from words on a line: for `%hub_cache` and for the command `hub-magic`."""
