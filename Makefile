# Every target does its own set-up. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test check lint format tests quick-tests demo-models docs clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/installed  ## create .venv and install everything (quick the second time)

$(VENV)/installed: pyproject.toml versions.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tuneguard needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) lacks venv; on Debian and Ubuntu: sudo apt-get install -y python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint versions.txt --editable '.[dev]'
	@touch $@

quickstart: setup  ## tune a LoRA on the shipped demo base, under rules
	$(BIN)/tuneguard quickstart

test: setup  ## everything that CI checks
	@$(MAKE) --jobs=2 lint tests

check: setup  ## style, types, import law, and the quick tests
	@$(MAKE) --jobs=2 lint quick-tests

lint: setup  ## style, types, import law
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# a test at a time on each of two cores (a third runner made it slower), the slow ones first, so that both end together
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=2 --dist=loadgroup

tests: setup  ## the tests alone
	$(PYTEST)

quick-tests: setup  ## the tests that are not marked slow
	$(PYTEST) -m 'not slow'

format: setup  ## rewrite the code in house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## rewrite the generated reference pages
	$(BIN)/python -m docs.generate

demo-models: setup  ## train the demo base and judge again from nothing (hours on a CPU)
	$(BIN)/python -m benchmarks.demo_models.make

clean:  ## remove the environment and the caches; the data folder .tuneguard stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
