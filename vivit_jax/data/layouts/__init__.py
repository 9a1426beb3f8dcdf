"""One reader for each annotation layout: what lies in a folder, as a list of labelled clips."""
