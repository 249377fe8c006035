PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
PIP := $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check) -c constraints.txt

NO_UV := uv is not on the path, so UV_TORCH_BACKEND does nothing: pip installs the CUDA build of torch

.DEFAULT_GOAL := help
.PHONY: faults help quickstart test test-all check docs picture check-statistics bench-checkpoints bench-fleet bench-footprint bench-gpu bench-page bench-programs bench-reading bench-repeated bench-scoring bench-storage bench-search format reference clean

help: ## Show what there is to make
	@sed -n "s/^\([a-z-]*\):.*## /\1\t/p" $(MAKEFILE_LIST) | expand -t 18

quickstart: $(VENV)/.installed ## Install, run a first study with two workers, and see its verdict
	$(BIN)/hpo launch-study studies/quickstart.toml --workers 2

test: $(VENV)/.installed-dev ## Install what tests need and run them, a real Postgres included
	$(BIN)/pytest -n 2 -m "not slow"

test-all: $(VENV)/.installed-dev ## The same, with the tests that take half a minute and more
	$(BIN)/pytest -n 2

check: $(VENV)/.installed-dev ## Format, lint, types, and which part may import which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: $(VENV)/.installed-dev ## Ill-treat workers and server FAULTS times (200) in an order fixed by SEED, and count what is lost (TRIALS=programs: of programs)
	$(BIN)/python -m tests.faults.campaign --faults $(or $(FAULTS),200) --seed $(or $(SEED),1) --trials $(or $(TRIALS),images)

check-statistics: $(VENV)/.installed-dev ## Simulated studies: coverage of the intervals, false verdicts, power
	$(BIN)/python -m benchmarks.known_answers

bench-footprint: $(VENV)/.installed-dev ## What a worker takes of memory, and a trial to start; needs CIFAR-10 in HPO_DATA_DIR/cifar10
	$(BIN)/python -m benchmarks.footprint

bench-gpu: $(VENV)/.installed-dev ## How a GPU trains: recorded steps, 16 bits, several workers, beside a DataLoader
	$(BIN)/python -m benchmarks.gpu

bench-page: $(VENV)/.installed-dev ## What the page of a report weighs, and how long a browser takes to draw it
	$(BIN)/python -m benchmarks.page

bench-programs: $(VENV)/.installed-dev ## What a trial costs that is a program
	$(BIN)/python -m benchmarks.programs

bench-repeated: $(VENV)/.installed-dev ## A whole study again and again: how often does it come to which verdict? (STUDY, TIMES)
	$(BIN)/python -m benchmarks.repeated --study $(or $(STUDY),studies/quickstart.toml) --times $(or $(TIMES),25)

bench-checkpoints: $(VENV)/.installed-dev ## What it costs to make a checkpoint and to keep it
	$(BIN)/python -m benchmarks.checkpoints

bench-search: $(VENV)/.installed-dev ## How soon random search, TPE and pruners reach a grid's best, replayed (QUICK=1: under two minutes)
	$(BIN)/python -m benchmarks.search

bench-reading: $(VENV)/.installed-dev ## What launch, claim, status, report and more take for 10,000 trials
	$(BIN)/python -m benchmarks.reading

bench-scoring: $(VENV)/.installed-dev ## What it saves to score trials less often; needs CIFAR-10 in HPO_DATA_DIR/cifar10
	$(BIN)/python -m benchmarks.scoring

bench-storage: $(VENV)/.installed-dev ## What a trial costs without its training, beside Optuna, Ray Tune and Syne Tune (QUICK=1)
	$(BIN)/python -m benchmarks.storage $(if $(QUICK),--quick)

bench-training: $(VENV)/.installed-dev ## How fast trials train, beside a loop with a DataLoader (QUICK=1: under five minutes)
	$(BIN)/python -m benchmarks.training $(if $(QUICK),--quick)

check-accuracy: $(VENV)/.installed-dev ## Whether nets learn the same as from a DataLoader; needs CIFAR-10 in HPO_DATA_DIR/cifar10
	$(BIN)/python -m benchmarks.same_accuracy

bench-fleet: $(VENV)/.installed-dev ## How many workers one Postgres carries, and what distance costs (the latter as root)
	$(BIN)/python -m benchmarks.fleet

format: $(VENV)/.installed-dev ## Format the code and mend what a linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reference: $(VENV)/.installed ## Write docs/reference.md from the models that check a study file
	$(BIN)/python -m hpo.reference > docs/reference.tmp
	mv docs/reference.tmp docs/reference.md

docs: .venv-docs/.installed ## Build the documentation as a site that needs no network: build/site/index.html
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo build/site/index.html

picture: $(VENV)/.installed-dev ## Take the picture of a report that README.md shows anew; needs Chromium
	$(BIN)/hpo launch-study studies/quickstart.toml --workers 2
	$(BIN)/python docs/picture.py hpo-reports/quickstart/quickstart.html docs/images/report.png

clean: ## Remove the virtual environment and everything that was built
	rm -rf $(VENV) .venv-docs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hpo needs Python 3.11 or newer; make PYTHON=/path/to/python")'
	$(PYTHON) -m venv $(VENV)
	$(if $(UV),,$(if $(UV_TORCH_BACKEND),@echo "$(NO_UV)" >&2))
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/.python
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/.python
	$(PIP) -e '.[dev]'
	touch $@ $(VENV)/.installed

.venv-docs/.installed: docs/requirements.txt constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r docs/requirements.txt
	touch $@
