# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
CONSTRAINTS := -c constraints.txt
DEMO_DATA := .clearway/demo

# Where compiled modules may not be kept, each of the hundreds of processes compiles all of them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo airflow serve secrets test quick faults soak fuzz lint format check docs lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)))' \
	  || { echo "Clearway needs Python 3.11 to 3.13; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (about 1 GB, two to five minutes the first time) ..."
	$(PIP) install $(CONSTRAINTS) -e '.[airflow,serving]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "Setting up $(VENV) with the test tools ..."
	$(PIP) install $(CONSTRAINTS) -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## Watch a small simulated city flow from its taxis to a price proposal
	@$(BIN)/clearway demo --data-dir $(DEMO_DATA) $(DEMO_OPTIONS)

airflow: $(VENV)/.demo ## Start Airflow on the demo's lake; answer the waiting proposal there
	@$(BIN)/clearway airflow --data-dir $(DEMO_DATA)

serve: $(VENV)/.demo ## Show the demo's map again
	@$(BIN)/clearway serve --data-dir $(DEMO_DATA)

secrets: ## Write the secrets that docker-compose.yml reads into ./secrets
	@$(PYTHON) deploy/make_secrets.py

# A file's tests stay together, for they share what is dear; tests/conftest.py puts long files first.
PYTEST := $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/.dev ## Run all tests that this machine can run (18 minutes on two cores)
	$(PYTEST) $(TEST_OPTIONS)

quick: $(VENV)/.dev ## Run the tests of rules and laws: no broker, no browser, no Airflow
	$(PYTEST) tests/unit tests/property tests/architecture $(TEST_OPTIONS)

faults: $(VENV)/.dev ## Break real gateways 1,100 times and account for every reading (20 minutes)
	$(BIN)/python tests/trials/run.py $(FAULTS_OPTIONS)

fuzz: $(VENV)/.dev ## Feed broken bytes to every parser, ten minutes each
	$(BIN)/python tests/fuzz/run.py $(FUZZ_OPTIONS)

soak: $(VENV)/.dev ## Run the services of docker-compose.yml for an hour and judge what grows
	$(BIN)/python tests/trials/soak.py $(SOAK_OPTIONS)

lint: $(VENV)/.dev ## Format check, lint, types, imports between components
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(VENV)/.dev ## What must pass before each commit: lint and quick, side by side (3 minutes)
	@$(MAKE) --no-print-directory -j2 lint quick

docs: $(VENV)/.dev ## Write the pages again that are made from code: contracts, commands, licences, architecture
	$(BIN)/python -m clearway_core.contracts.generate
	$(BIN)/python -m clearway_cli.reference
	$(BIN)/python docs/generate/licences.py
	$(BIN)/python docs/generate/architecture.py

lock: $(VENV)/.dev ## Write constraints.txt from what is installed here
	$(BIN)/pip freeze --exclude-editable --exclude clearway | LC_ALL=C sort -f > constraints.txt

clean: ## Remove the environment and caches (not the data in .clearway)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
