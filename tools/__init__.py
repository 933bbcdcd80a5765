"""Readers of annotation files and the builder of TFRecord shards: what runs before training."""
