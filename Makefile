# `make run`: the server on 127.0.0.1:2525. `make test`: all tests. Nothing else is needed but Python 3.11+ with venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= config.toml
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK   := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
          --no-emit-find-links --no-emit-trusted-host

.PHONY: run test lint bench lock clean
.DELETE_ON_ERROR:

run: $(VENV)/run
	@$(BIN)/smtpgate db upgrade --config $(CONFIG)
	@exec $(BIN)/smtpgate serve --config $(CONFIG) --examples

# ARGS: such as ARGS="tests/relay -x"
test: $(VENV)/test
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile $(ARGS)

# The import contracts are among the tests (tests/test_layout.py).
lint: $(VENV)/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/test
	@$(BIN)/python -m bench $(ARGS)

lock: $(VENV)/test
	$(PIP) pip-tools
	$(LOCK) requirements/build.in -o requirements/build.txt
	$(LOCK) pyproject.toml -c requirements/build.txt -o requirements/run.txt
	$(LOCK) pyproject.toml -c requirements/build.txt --extra test -o requirements/test.txt

clean:
	rm -rf $(VENV) var

# A venv that was made by half is removed: the next call must not take it for a whole one.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }

# The locks are hash-pinned: what is installed is what was tested. The package itself is built without a network.
$(VENV)/run: requirements/build.txt requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV), once; this takes a minute ..."
	@$(PIP) --require-hashes -r requirements/build.txt
	@$(PIP) --no-build-isolation --require-hashes -r requirements/run.txt
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/test: requirements/test.txt $(VENV)/run
	@$(PIP) --no-build-isolation --require-hashes -r requirements/test.txt
	@touch $@
