"""A network on disk, and what runs it."""
