# Needs Python >= 3.11, make and a package index; everything else is set up here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# one process a core takes file after file
SHARED := -n auto --dist loadfile

.PHONY: demo test test-fast serve bench check lint format clean

demo: $(READY)
	$(BIN)/python examples/demo.py

test: $(READY)
	$(BIN)/python -m tests.node.install
	$(BIN)/python -m pytest $(SHARED)

test-fast: $(READY)
	$(BIN)/python -m tests.node.install
	$(BIN)/python -m pytest $(SHARED) -m "not slow"

serve: $(READY)
	$(BIN)/reactor serve examples/hello.py examples/features.py examples/census.py

bench: $(READY)
	$(BIN)/python -m benchmarks

check: lint test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Reactor needs Python >= 3.11, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || { \
	  echo "no ensurepip (Debian: python3-venv), trying this Python's own pip" >&2; \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	touch $(READY)
