# make demo   sets everything up and runs the whole job on an embedded default
# make test   sets everything up, checks the code and runs the tests (WORKERS=1: one after another)
# make check  the same without the slow tests, for daily work
# make wheel  builds dist/rssn-*.whl, and tests that it composes in an empty environment
# make bench  measures the kernels and the route against the libraries, row by row into build/bench, where it goes on if it was stopped
#             (BENCH=--full: whole photographs, half an hour)
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN = $(VENV)/bin
AM2K ?= ../shared/data/am2k
PHOTOS ?= ../shared/data/photos
WORKERS ?= auto

.PHONY: setup demo test check lint kernels wheel bench clean

setup: $(VENV)/.ready

$(VENV)/.ready: setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.13 found; name one: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[all,dev]'
	touch $@

demo: setup
	$(BIN)/rssn demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# tests start hundreds of commands: each would compile every module anew, and take all processors for small pictures
test check: export PYTHONDONTWRITEBYTECODE =
test check: export OMP_NUM_THREADS = 1

kernels: setup
	$(BIN)/python -m tests.warm

PYTEST = $(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder
test: setup
	@$(MAKE) --no-print-directory --jobs=2 lint kernels
	$(PYTEST)

check: setup
	@$(MAKE) --no-print-directory --jobs=2 lint kernels
	$(PYTEST) -m 'not slow'

wheel: setup
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/pytest tests/test_wheel.py

bench: setup
	$(BIN)/python -m tests.benchmarks.run --am2k $(AM2K) --photos $(PHOTOS) $(BENCH)

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
