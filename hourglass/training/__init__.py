"""One training, and what happens beside its steps."""
