PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: faults help quickstart test check check-statistics bench-checkpoints bench-reading format reference clean

help: ## Show what there is to make
	@sed -n "s/^\([a-z-]*\):.*## /\1\t/p" $(MAKEFILE_LIST) | expand -t 18

quickstart: $(VENV)/.installed ## Install, run a first study with two workers, and see its verdict
	$(BIN)/hpo launch-study studies/quickstart.toml --workers 2

test: $(VENV)/.installed-dev ## Install what tests need and run them all, a real Postgres included
	$(BIN)/pytest -n 2

check: $(VENV)/.installed-dev ## Format, lint, types, and which part may import which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: $(VENV)/.installed-dev ## Ill-treat workers and server FAULTS times (200) in an order fixed by SEED, and count what is lost
	$(BIN)/python -m tests.faults.campaign --faults $(or $(FAULTS),200) --seed $(or $(SEED),1)

check-statistics: $(VENV)/.installed-dev ## Simulated studies: coverage of the intervals, false verdicts, power
	$(BIN)/python -m benchmarks.known_answers

bench-checkpoints: $(VENV)/.installed-dev ## What it costs to make a checkpoint and to keep it
	$(BIN)/python -m benchmarks.checkpoints

bench-reading: $(VENV)/.installed-dev ## How long status, report, export and dashboard take for 10,000 trials
	$(BIN)/python -m benchmarks.reading

format: $(VENV)/.installed-dev ## Format the code and mend what a linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reference: $(VENV)/.installed ## Write docs/reference.md from the models that check a study file
	$(BIN)/python -m hpo.reference > docs/reference.tmp
	mv docs/reference.tmp docs/reference.md

clean: ## Remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hpo needs Python 3.11 or newer; make PYTHON=/path/to/python")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/.python
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/.python
	$(PIP) -e '.[dev]'
	touch $@ $(VENV)/.installed
