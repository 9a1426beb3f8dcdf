"""From a source's files to a stored data set."""
