# Two commands set everything up: `make demo` shows the whole pipeline, `make test` checks it;
# `make test-all` runs the slow tests, too.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo

.PHONY: demo test test-all test-oldest lint clean

$(BIN)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 10) else 0)'
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# Only a folder that an earlier `make demo` made is removed.
MADE := $(DEMO)/.made-by-make-demo

demo: $(BIN)/.installed
	@test ! -e '$(DEMO)' || test -e '$(MADE)' || { \
	    echo "$(DEMO): is there and was not made by \`make demo\`; remove it, or name another: make demo DEMO=DIR"; exit 1; }
	rm -rf '$(DEMO)'
	mkdir -p '$(DEMO)'
	touch '$(MADE)'
	$(BIN)/python -m tools.make_synthetic --output $(DEMO)
	$(BIN)/python -m tools.build_tfrecords --annotations $(DEMO)/annotations --images $(DEMO)/images \
	    --output $(DEMO)/tfrecords --train-shards 4 --val-shards 2
	$(BIN)/python -m hourglass.train --data $(DEMO)/tfrecords --preset tiny --run demo \
	    --models $(DEMO)/models --logs $(DEMO)/logs
	$(BIN)/python -m hourglass.evaluate --data '$(DEMO)/tfrecords/validation*' \
	    --model $(DEMO)/models/demo/best.keras
	$(BIN)/python -m hourglass.predict $(DEMO)/images/validation_00000.jpg --box 26 39 96 160 \
	    --model $(DEMO)/models/demo/best.keras --output $(DEMO)/predictions
	$(BIN)/python -m benchmarks.draw_results --run $(DEMO)/models/demo \
	    --data '$(DEMO)/tfrecords/validation*' --output $(DEMO)/predictions
	@echo
	@echo 'The demo made:'
	@echo '  pictures and labels   $(DEMO)/images  $(DEMO)/annotations'
	@echo '  TFRecord shards       $(DEMO)/tfrecords'
	@echo '  trained model         $(DEMO)/models/demo/best.keras'
	@echo '  one predicted pose    $(DEMO)/predictions/validation_00000_pose.jpg'
	@echo '  labels, predictions   $(DEMO)/predictions/demo_strip.png (labels above)'
	@echo '  the learning curve    $(DEMO)/predictions/demo_curve.png'
	@echo 'Watch the training:     $(BIN)/tensorboard --logdir $(DEMO)/logs'

# Each worker takes whole files, so that what a file's tests share is made once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadscope --durations=15

test: lint
	$(PYTEST) -m 'not slow'

test-all: lint
	$(PYTEST)

# With the oldest versions that setup.cfg allows, in a .venv of their own.
test-oldest:
	test -d .venv-oldest || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet -r requirements/oldest.txt pytest
	.venv-oldest/bin/python -m pytest -m 'not slow' tests/core tests/data/readers tests/media/test_pictures.py \
	    tests/networks/test_folding.py tests/training/test_optimizer.py

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .venv-oldest $(DEMO) build *.egg-info
