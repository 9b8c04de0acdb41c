# Set-up and everyday commands. Needs python3 (3.10 to 3.13), make and the package registry; nothing else.
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

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/shop sample ## Run ingestion, the hourly and the nightly job and the consumers; print what came of it
	@$(BIN)/analytics-dagster build

prod-demo: $(VENV)/dev ## Run the same on a real PostgreSQL and on DuckLake, with its files in a real S3 (started for it)
	@$(BIN)/python scripts/prod_demo.py $(DEMO)

dev: $(VENV)/shop ## Open the UI at http://127.0.0.1:3000 (or PORT), with history kept between starts; the shop sells on
	@$(BIN)/python scripts/sample_data.py --landing $(LANDING) --follow 300 & shop=$$!; trap 'kill $$shop 2>/dev/null' EXIT; \
	$(BIN)/analytics-dagster dev --port $(PORT)

sample: $(VENV)/shop ## Deliver what the sample shop has sold until now into the landing zone
	@$(BIN)/python scripts/sample_data.py --landing $(LANDING)

test: $(VENV)/dev ## Run the tests
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-all: $(VENV)/dev ## Run all tests, also those that take minutes each
	@$(BIN)/python -m pytest -m "thorough or not thorough" --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/dev ## Run what is quick, under a minute: linters, types, unit tests but the chart's and the slow
	@$(MAKE) --no-print-directory --jobs 3 lint types quick

quick: $(VENV)/dev
	@$(BIN)/python -m pytest tests/unit -m "not integration and not thorough and not slow" --ignore tests/unit/chart --numprocesses $(WORKERS)

chart: $(VENV)/dev ## Write the chart's values.yaml, schema and table of values from their models
	@$(BIN)/python -m scripts.chart_files

chart-test: $(VENV)/dev ## Render the Helm chart with the real helm and check every document (under a minute)
	@$(BIN)/python -m pytest tests/unit/chart tests/cluster

cluster-test: $(VENV)/dev ## Install the chart in a box and take it through faults (minutes; as root, on Linux)
	@# First: what the tests start has a network of its own, without a way to the registry.
	@$(BIN)/python -m scripts.install_helm >/dev/null
	@$(BIN)/python -m pytest tests/cluster -m "thorough or not thorough"

screenshots: $(VENV)/dev ## Take the pictures of the documents anew, from the browser tests' own runs (needs chromium)
	@PICTURES=docs/images $(BIN)/python -m pytest tests/browser -m "thorough or not thorough"

lint: $(VENV)/dev
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .

format: $(VENV)/dev ## Format the code
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

types: $(VENV)/dev
	@$(BIN)/mypy --no-error-summary

bench: $(VENV)/dev ## Measure builds, loads and clicks against stock Dagster and plain dbt (BENCH="--quick" and others)
	@$(BIN)/python -m benchmarks.run $(BENCH)

bench-peers: $(VENV)/dev ## Measure prefect-dbt and Cosmos against plain dbt, where they can be installed
	@$(BIN)/python -m benchmarks.peers $(BENCH)

docs: $(VENV)/dev ## Build the documents as a site, in build/site; writes what they have of the code
	@$(BIN)/python -m scripts.pages
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

image: ## Build the image (needs docker)
	@docker build --build-arg COMMIT=$$(git rev-parse HEAD) --build-arg VERSION=$(VERSION) --tag analytics-dagster:$(VERSION) .

image-test: $(VENV)/dev ## Build the image without docker, and run what a cluster runs of it (needs root, buildah, debootstrap)
	@$(BIN)/python -m pytest tests/image -m "thorough or not thorough" -rs

dist: $(VENV)/dev ## Build the wheel and the source archive, in dist
	@$(BIN)/hatchling build

lock: ## Lock the requirements anew (needs uv)
	@scripts/lock.sh

clean: ## Remove the environment, the data and Dagster's home
	rm -rf $(VENV) data .dagster_home dbt_project/target dbt_project/logs

$(VENV)/shop: requirements/shop.txt pyproject.toml scripts/install.sh
	@scripts/install.sh $(PYTHON) $(VENV) shop

$(VENV)/dev: requirements/dev.txt pyproject.toml scripts/install.sh
	@scripts/install.sh $(PYTHON) $(VENV) dev
	@touch $(VENV)/shop
