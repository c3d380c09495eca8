# Every target creates what it needs. Needs python3 (3.11 or newer), make, and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SAMPLES := build/models
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help serve samples test check format bench budget loadtest lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: samples  ## Train the sample models and serve them on ports 8080 (API) and 8081 (admin)
	$(BIN)/model-manager serve --models $(SAMPLES)

samples: $(VENV)/serve.stamp  ## Train the sample models into build/models
	$(BIN)/python models/build --out $(SAMPLES)

test: $(VENV)/dev.stamp $(VENV)/load.stamp  ## Run every test with branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: $(VENV)/dev.stamp $(VENV)/load.stamp  ## Lint, type-check, and hold the code against the layer rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/dev.stamp  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/serve.stamp $(VENV)/load.stamp  ## Measure the server against its ceilings on this machine; needs wrk, takes five minutes
	$(BIN)/python loadtests/bench $(BENCH)

budget: $(VENV)/serve.stamp $(VENV)/load.stamp  ## Measure where the microseconds of one request go, step by step
	$(BIN)/python loadtests/budget

loadtest: $(VENV)/serve.stamp $(VENV)/load.stamp  ## Put a realistic load on a server and hold it to limits; takes a minute
	$(BIN)/python loadtests/run $(LOADTEST)

lock: build/lock/bin/uv  ## Pin every dependency with hashes into locks/
	$< pip compile pyproject.toml --extra compiled --group build --output-file locks/serve.txt $(LOCK)
	$< pip compile pyproject.toml --extra compiled --group dev --output-file locks/dev.txt $(LOCK)
	$< pip compile pyproject.toml --group load --constraint locks/dev.txt --output-file locks/load.txt $(LOCK)

LOCK := --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --quiet

build/lock/bin/uv:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip --disable-pip-version-check --quiet install uv==$(UV_VERSION)

$(VENV)/%.stamp: locks/%.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes --requirement locks/$*.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

clean:  ## Remove everything that was built
	rm -rf build $(VENV)
