.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Newer than all it was made from: then there is nothing to install.
INSTALLED := .venv/.installed

.PHONY: help install run test check bench clean

help: ## Show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Put everything into .venv

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: $(INSTALLED) ## Start everything on this machine: Redis, the sandbox, web, worker
	@exec $(BIN)/python scripts/run.py

test: check ## Everything that has to pass
	$(BIN)/python -m pytest

check: $(INSTALLED) ## Formatting, lint, types, imports
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-timing | tail -n 3

bench: $(INSTALLED) ## Measure, beside what else there is
	$(BIN)/python -m tests.bench

clean: ## Remove what was made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
