# `make run`: the server on 127.0.0.1:2525. `make test`: all tests. Nothing else is needed but Python 3.11+ with venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= config.toml

.PHONY: run test lint bench clean

run: $(VENV)/run
	@$(BIN)/smtpgate db upgrade --config $(CONFIG)
	@exec $(BIN)/smtpgate serve --config $(CONFIG) --examples

test: $(VENV)/test
	$(BIN)/python -m pytest -q $(ARGS)

lint: $(VENV)/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/test
	$(BIN)/python -m bench $(ARGS)

lock:
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --no-header -o requirements/run.txt pyproject.toml --extra build
	$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --no-header -o requirements/test.txt pyproject.toml --extra build --extra test

clean:
	rm -rf $(VENV) var

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }

# The lock is hash-pinned: what is installed is what was tested. The package itself is built without a network.
$(VENV)/run: requirements/run.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/test: requirements/test.txt $(VENV)/run
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/test.txt
	@touch $@
