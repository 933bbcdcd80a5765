"""Shards, made in parallel."""
