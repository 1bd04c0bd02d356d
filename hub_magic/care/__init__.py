"""The verbs that change what is cached: one file for each verb of `%hub_cache`."""
