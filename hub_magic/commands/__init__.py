"""What the magics and the command line share: options, verbs and completion."""
