"""From video files to batches: prepare once into a tfds data set, then read it with grain."""
