# Set-up and everyday commands. They need python3 (3.10 to 3.13), make and a package registry.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 3000
WORKERS ?= auto
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
LANDING ?= $(or $(ANALYTICS_LANDING_URL),$(if $(ANALYTICS_DATA_DIR),$(ANALYTICS_DATA_DIR)/landing,data/landing))

.PHONY: help run prod-demo dev test test-all check quick chart chart-test cluster-test sample screenshots lint format types bench bench-peers docs image image-test dist lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/shop sample ## Run ingestion, the hourly and nightly jobs and the consumers; print a summary
	@$(BIN)/analytics-dagster build

prod-demo: $(VENV)/dev ## Run the same on a local PostgreSQL and on DuckLake, with files in a local S3 server
	@$(BIN)/python scripts/prod_demo.py $(DEMO)

dev: $(VENV)/shop ## Open the UI at http://127.0.0.1:3000 (or PORT); new sample data arrives every hour
	@$(BIN)/python scripts/sample_data.py --landing $(LANDING) --follow 300 & shop=$$!; trap 'kill $$shop 2>/dev/null' EXIT; \
	$(BIN)/analytics-dagster dev --port $(PORT)

sample: $(VENV)/shop ## Write the sample data up to now into the landing zone
	@$(BIN)/python scripts/sample_data.py --landing $(LANDING)

test: $(VENV)/dev ## Run the tests
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-all: $(VENV)/dev ## Run all tests, including those that take minutes each
	@$(BIN)/python -m pytest -m "thorough or not thorough" --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/dev ## Run linters, types and the quick unit tests (under a minute)
	@$(MAKE) --no-print-directory --jobs 3 lint types quick

quick: $(VENV)/dev
	@$(BIN)/python -m pytest tests/unit -m "not integration and not thorough and not slow" --ignore tests/unit/chart --numprocesses $(WORKERS)

chart: $(VENV)/dev ## Generate values.yaml, its schema and its table for the Helm chart
	@$(BIN)/python -m scripts.chart_files

chart-test: $(VENV)/dev ## Render the Helm chart with helm and check every document (under a minute)
	@$(BIN)/python -m pytest tests/unit/chart tests/cluster

cluster-test: $(VENV)/dev ## Run the chart as local processes and test faults (minutes; as root, on Linux)
	@# Install helm first: the tests have a separate network without access to the registry.
	@$(BIN)/python -m scripts.install_helm >/dev/null
	@$(BIN)/python -m pytest tests/cluster -m "thorough or not thorough"

screenshots: $(VENV)/dev ## Update the screenshots in docs/images with the browser tests (needs chromium)
	@PICTURES=docs/images $(BIN)/python -m pytest tests/browser -m "thorough or not thorough"

lint: $(VENV)/dev
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .

format: $(VENV)/dev ## Format the code
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

types: $(VENV)/dev
	@$(BIN)/mypy --no-error-summary

bench: $(VENV)/dev ## Compare builds, loads and clicks with stock Dagster and plain dbt (options: BENCH="--quick")
	@$(BIN)/python -m benchmarks.run $(BENCH)

bench-peers: $(VENV)/dev ## Compare prefect-dbt and Cosmos with plain dbt, if they can be installed
	@$(BIN)/python -m benchmarks.peers $(BENCH)

docs: $(VENV)/dev ## Update the generated parts of the documentation, and build it as a site in build/site
	@$(BIN)/python -m scripts.pages
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

image: ## Build the image (needs docker)
	@docker build --build-arg COMMIT=$$(git rev-parse HEAD) --build-arg VERSION=$(VERSION) --tag analytics-dagster:$(VERSION) .

image-test: $(VENV)/dev ## Build the image without docker, and test it (needs root, buildah, debootstrap)
	@$(BIN)/python -m pytest tests/image -m "thorough or not thorough" -rs

dist: $(VENV)/dev ## Build the wheel and the source archive in dist
	@$(BIN)/hatchling build

lock: ## Update the lock files in requirements (needs uv)
	@scripts/lock.sh

clean: ## Remove the virtual environment, the data and the Dagster home
	rm -rf $(VENV) data .dagster_home dbt_project/target dbt_project/logs

$(VENV)/shop: requirements/shop.txt pyproject.toml scripts/install.sh
	@scripts/install.sh $(PYTHON) $(VENV) shop

$(VENV)/dev: requirements/dev.txt pyproject.toml scripts/install.sh
	@scripts/install.sh $(PYTHON) $(VENV) dev
	@touch $(VENV)/shop
