"""One training, and what happens beside its steps."""

# Every file here imports Keras, and what this sets must be set before.
from hourglass.core import processor

processor.prepare_processor()
