"""The verbs, options and completions that the magics and the command line share."""
