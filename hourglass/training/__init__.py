"""One training, and what happens beside its steps."""

# Most files here import Keras, and what this sets must be set before.
from hourglass.core import processor

processor.prepare_processor()
