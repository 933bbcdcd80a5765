"""Annotation files: one reader per format."""
