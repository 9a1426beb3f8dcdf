"""Where a step runs: executors, placement on a mesh, several hosts, the compilation cache."""
