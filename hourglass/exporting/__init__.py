"""Model files for other runtimes, and how they compare."""
