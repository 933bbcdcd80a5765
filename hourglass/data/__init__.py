"""From labels to records to batches."""
