# Every target does its own set-up. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test check lint format tests benchmarks demo-models docs clean

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

test: setup lint tests  ## everything that CI checks

check: setup lint  ## style, types, import law, and the quick tests
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=2 --dist=loadfile -m 'not slow'

lint: setup  ## style, types, import law
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

tests: setup  ## the tests alone, a file at a time on each of two cores
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=2 --dist=loadfile

format: setup  ## rewrite the code in house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## rewrite the generated reference pages
	$(BIN)/python -m docs.generate

demo-models: setup  ## train the demo base and judge again from nothing (hours on a CPU)
	$(BIN)/python -m benchmarks.demo_models.make

clean:  ## remove the environment and the caches; the data folder .tuneguard stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
