"""Measurements of the pipeline, and the pictures and tables that docs/ shows of them."""
