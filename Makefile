# make run  [SOURCE=digits] [RUNS=128] [PORT=8501]   set up, build whatever the cache lacks, serve the app
# make test                               set up, lint, type-check, run the default tests
# make test-all                           like make test, with the tests marked slow
# make trials [TRIALS="kills hostile"] [SECONDS=120] [SEED=3]   the long reliability trials, and their table
SOURCE ?= digits
PORT   ?= 8501
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
DENO    = DENO_NO_UPDATE_CHECK=1 $(BIN)/deno
FRONT_END = pages/ui/components kernel_core/static_copy/browser

.PHONY: run test test-all trials lint fix lock clean

run: $(VENV)/.ready-run
	$(BIN)/kernel-explorer serve "$(SOURCE)" $(if $(RUNS),--runs $(RUNS)) --port $(PORT)

test: $(VENV)/.ready-test lint
	$(BIN)/python -m pytest -n 3 --dist worksteal

test-all: $(VENV)/.ready-test lint
	$(BIN)/python -m pytest -n 3 --dist worksteal -m ""

trials: $(VENV)/.ready-test
	$(BIN)/python -m tests.trials $(TRIALS) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(ONLY),--only "$(ONLY)") $(if $(CASES),--cases $(CASES))

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(DENO) fmt --check --quiet $(FRONT_END)
	$(DENO) lint --quiet $(FRONT_END)
	$(BIN)/mypy

fix: $(VENV)/.ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(DENO) fmt --quiet $(FRONT_END)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"found Python {v[0]}.{v[1]}, expected 3.11 or newer: choose one with make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

# constraints.txt pins every package; --no-build-isolation keeps the build backend pinned too.
define install
	@echo "setting up $(VENV): about 3 GB to download the first time, most of it torch"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling editables setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable "$(1)"
	@touch $@
endef

$(VENV)/.ready-run: $(BIN)/python pyproject.toml constraints.txt
	$(call install,.)

$(VENV)/.ready-test: $(BIN)/python pyproject.toml constraints.txt
	$(call install,.[test])
	@touch $(VENV)/.ready-run

lock: $(VENV)/.ready-test
	$(BIN)/python -m pip install --quiet uv
	printf 'hatchling\neditables\nsetuptools\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra test --no-header \
		--no-annotate pyproject.toml - --output-file constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
