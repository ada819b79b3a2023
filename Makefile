# make setup   the environment in .venv, from requirements.lock
# make demo    four sites on this machine, one fails, its partner takes over
# make check   style, types, layers and house rules
# make test    all tests; as root on Debian or Ubuntu it installs what they need
# make bench   measures every scenario; options in BENCH, as in make bench BENCH='--runs 5 --list'
# make mutants  hunts rules misread on purpose in simulated worlds: each must be caught;
#              MUTANTS='NAME ...' hunts some
# make sim-coverage  which rows and branches of the rules simulated worlds reach; SEEDS=20 for fewer
# make docs    regenerates what is generated: the JSON Schemas and the diagram of phases
# make lock    resolves the dependencies anew

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.PHONY: setup demo check test bench mutants sim-coverage docs schema lock packages clean

setup: .venv/.installed ; @:

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Saling needs Python 3.11 or newer; name one with 'make PYTHON=...'" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || bash .ci/packages python3-venv
	@rm -rf .venv
	@$(PYTHON) -m venv .venv

.venv/.installed: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing the locked requirements into .venv ..."
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@$(BIN)/saling demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q tests/house

packages:
	@bash .ci/packages postgresql mosquitto prometheus nftables

test: setup packages
	@bash .ci/tests

bench: setup
	@$(BIN)/python -m lab.bench --output bench-report $(BENCH)

mutants: setup
	@$(BIN)/python -m tests.simulation.mutants $(MUTANTS)

sim-coverage: setup
	@$(BIN)/python -m tests.simulation.reached $(SEEDS:%=--seeds %)

schema: setup
	$(BIN)/python -m config.schema

docs: schema
	@mkdir -p docs
	@$(BIN)/python -m controller.core.diagram > docs/.phases.md
	@mv docs/.phases.md docs/phases.md

lock: setup
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --generate-hashes \
	  --no-header --no-annotate --quiet --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra fast --universal --generate-hashes \
	  --no-header --no-annotate --quiet --constraint requirements.lock \
	  --output-file docker/requirements.lock
	echo 'setuptools>=77' | $(BIN)/uv pip compile - --universal --generate-hashes \
	  --no-header --no-annotate --quiet --constraint requirements.lock --output-file docker/build.lock

clean:
	rm -rf .venv .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info build dist
