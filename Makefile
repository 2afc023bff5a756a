# Every target sets up what it needs: an environment in .venv and, for tests, database servers.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
# One more than there are cores: many tests wait for locks, leases and servers.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n + 1 : 4)))
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=10
TEST_TOOLS := servers clients backups metrics reports
export VENV
# Each worker and each program of a test would compile the same modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-23s %s\n' "$$name" "$$text"; done

.PHONY: venv
venv: ## Make .venv with the project and its development tools
	@scripts/setup-venv

.PHONY: test-tools
test-tools:
	@scripts/install-test-tools $(TEST_TOOLS)

# In an environment of its own, with what the program needs and no tools of its developers.
.PHONY: demo
demo: ## Watch a whole cutover, and back, on SQLite with made-up files
	@VENV=.venv-demo EXTRAS=. scripts/setup-venv
	.venv-demo/bin/des-admin demo $(DEMO_ARGS)

.PHONY: test
test: venv test-tools ## Run all tests on SQLite, PostgreSQL, MariaDB and MySQL
	$(PYTEST) $(PYTEST_ARGS)

.PHONY: test-fast
test-fast: venv ## Run the tests that take no more than a few seconds each
	$(PYTEST) -m 'not slow' $(PYTEST_ARGS)

.PHONY: test-pythons
test-pythons: ## Run the unit tests on every supported Python found
	@scripts/test-pythons $(PYTEST_ARGS)

.PHONY: test-servers
test-servers: venv test-tools ## Run the tests of each kind on other versions of the servers
	@WORKERS=$(WORKERS) scripts/test-servers $(PYTEST_ARGS)

.PHONY: format
format: venv ## Rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lint
lint: venv ## Check format, lint, strict types and the import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: wheel-test
wheel-test: venv ## Build the wheel and try it in an empty environment
	scripts/smoke-test-wheel

.PHONY: check
check: lint wheel-test test ## Do what CI does: lint, the wheel, all tests

.PHONY: bench
bench: venv ## Run every benchmark; BENCH=name runs one
	@scripts/install-test-tools servers bench
	@set -e; for file in benchmarks/bench_$(or $(BENCH),*).py; do \
		echo "== $$file"; $(BIN)/python "$$file"; done

.PHONY: soak
soak: venv test-tools ## Repeat the crash and scale proofs; ROUNDS=1000 times unless told otherwise
	DES_TEST_ROUNDS=$(or $(ROUNDS),1000) $(PYTEST) --timeout=0 tests/crash tests/scale \
		tests/migrations/test_killed.py tests/cli/test_generated_input.py \
		tests/db/test_deletion_trees.py tests/db/test_trail_tampered.py \
		tests/unit/packing/test_roots_hold.py $(PYTEST_ARGS)

.PHONY: clean
clean: ## Remove environments, caches and built files
	rm -rf $(VENV) .venv-demo .test-tools build dist demo-archive
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
