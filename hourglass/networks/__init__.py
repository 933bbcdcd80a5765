"""Keras networks and losses, on any backend."""
