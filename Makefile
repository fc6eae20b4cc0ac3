# Sets up its own virtual environment; needs only Python 3.10 or newer, make and a compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME ?= cpu
# Where it is set, every process would compile torch and the tests anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo docs test test-all test-gpu fuzz release-check lint format setup clean

help:  ## What there is to make.
	@sed -nE 's/^([a-z-]+):.*##  ?(.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(VENV)/.installed  ## The virtual environment, with everything in it.

# Python compiles a module when it is first imported; compiling all of them took as long as the
# rest of the installation (pip 23.2, 2026-11-29).
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile

$(VENV)/.installed: pyproject.toml
	@echo "setting up $(VENV) (a minute or two the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) -e '.[$(RUNTIME),images,dev]'
	@touch $(VENV)/.runtime $@

# What the demo needs of that, in half the time.
$(VENV)/.runtime: pyproject.toml
	@echo "setting up $(VENV) (a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) -e '.[$(RUNTIME)]'
	@touch $@

demo: $(VENV)/.runtime  ## The main job on the CPU: sample, export, measure, fit, compare, search, report.
	$(BIN)/latbench run latbench/experiment/demo.toml --out out/demo

docs: $(VENV)/.docs  ## The docs site, out/docs/index.html; a warning is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# With a stamp of its own, so that nothing else waits for it.
$(VENV)/.docs: $(VENV)/.installed
	@$(INSTALL) -e '.[docs]'
	@touch $@

# Three files at a time, since some wait; no test depends on how fast the machine is.
test: setup  ## The default test suite, or TESTS=tests/store of it.
	$(BIN)/python -m pytest -n 3 --dist loadfile $(TESTS)

test-all: setup  ## With the slow tests.
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not gpu and not fuzz"

fuzz: setup  ## Damaged inputs, 10,000 of each kind.
	$(BIN)/python -m pytest -n 2 --dist load -m fuzz tests/fuzz

test-gpu: setup  ## On a machine with a CUDA device; set it up with RUNTIME=cuda.
	$(BIN)/python -m pytest -m gpu

release-check: setup  ## The wheel and the sdist, installed and used on every Python here.
	$(BIN)/python tests/release.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
