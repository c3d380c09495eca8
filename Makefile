# Every target creates what it needs. Needs python3 (3.11, 3.12 or 3.13), make, and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ECOSYSTEM := .venv-ecosystem
STORES := .venv-stores
CLIENTS := .venv-clients
CLIENT_GROUPS := clients client-triton client-mlserver client-spark openapi
SAMPLES := build/models
MINORS := 11 12 13
UV_VERSION := 0.13.9
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
CONTAINERS ?= podman
IMAGE ?= model-manager:$(VERSION)
PYTHON_IMAGE ?= python:3.11-slim
TESTS ?= --numprocesses auto --maxprocesses 4 --dist loadfile
# they wait for the cluster more than they compute; those that stop its control plane are run after the others
CLUSTER_TESTS ?= --numprocesses 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help serve samples test test-ecosystem test-stores cluster-test test-browser pictures fuzz e2e check docs format bench budget chaos loadtest observe demo split image sbom test-pythons release release-files publish rollouts test-clients bench-peers lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: samples  ## Train the sample models and serve them on ports 8080 (API) and 8081 (admin)
	@$(BIN)/model-manager serve --models $(SAMPLES)

samples: $(VENV)/base.stamp  ## Train the sample models into build/models
	@$(BIN)/python -m models.build --out $(SAMPLES)

test: $(VENV)/dev.stamp $(VENV)/load.stamp $(VENV)/chart.stamp  ## Run every test with branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(TESTS) -m 'not e2e and not ecosystem and not stores and not clients and not cluster and not browser and not uncovered'
	$(BIN)/python -m pytest -m uncovered
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-ecosystem:  ## Test estimators of other libraries, in an environment of their own
	$(MAKE) VENV=$(ECOSYSTEM) $(ECOSYSTEM)/dev.stamp $(ECOSYSTEM)/ecosystem.stamp
	REQUIRE_ALL_PARTS=1 $(ECOSYSTEM)/bin/python -m pytest -m ecosystem tests/ecosystem

test-stores: $(VENV)/dev.stamp $(STORES)/stores.done  ## Test publishing and fetching against a real S3 API, which has an environment of its own
	PATH="$(CURDIR)/$(STORES)/bin:$$PATH" REQUIRE_ALL_PARTS=1 $(BIN)/python -m pytest -m stores tests/stores

test-pythons:  ## Run the unit tests on every Python that pyproject.toml admits and this machine has
	@for minor in $(MINORS); do \
	  python=; \
	  for each in python3.$$minor $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.$$minor.*/bin/python; do \
	    if "$$each" -c "import sys, venv; sys.exit(sys.version_info[:2] != (3, $$minor))" 2>/dev/null; then python=$$each; fi; \
	  done; \
	  if [ -z "$$python" ]; then echo "Python 3.$$minor: NOT TESTED, it is not here"; continue; fi; \
	  echo "Python 3.$$minor: $$python"; \
	  $(MAKE) --no-print-directory VENV=.venv-3.$$minor PYTHON="$$python" .venv-3.$$minor/dev.stamp || exit; \
	  .venv-3.$$minor/bin/python -m pytest $(PYTEST) tests/unit || exit; \
	done

cluster-test: $(VENV)/dev.stamp $(VENV)/load.stamp  ## Test the chart in the cluster with Istio that KUBECONFIG names: docs/cluster.md
	$(BIN)/python -m tools.parts
	$(BIN)/python -m pytest -m cluster $(CLUSTER_TESTS) --ignore tests/cluster/test_disruptions.py tests/cluster
	$(BIN)/python -m pytest -m cluster tests/cluster/test_disruptions.py

rollouts: $(VENV)/dev.stamp $(VENV)/load.stamp  ## Measure what Flagger and Argo Rollouts make of bad versions, in the cluster of KUBECONFIG
	CLUSTER_ROLLOUTS=docs/rollouts.json $(BIN)/python -m pytest -m cluster tests/cluster/test_rollouts.py
	$(BIN)/python -m tests.cluster.picture docs/rollouts.json docs/rollouts.png

test-clients: $(VENV)/dev.stamp $(CLIENT_GROUPS:%=$(CLIENTS)/%/installed.stamp)  ## Test clients of other projects and languages, in environments of their own
	REQUIRE_ALL_PARTS=1 $(BIN)/python -m pytest -m clients tests/clients

test-browser: $(VENV)/dev.stamp $(VENV)/load.stamp $(VENV)/browser.stamp  ## Test the console in Chromium, and make demo; needs Chromium and prometheus
	$(BIN)/python -m pytest -m browser tests/browser tests/demo

pictures: $(VENV)/dev.stamp $(VENV)/load.stamp $(VENV)/browser.stamp  ## Take the pictures of console and demo in docs/ anew; needs Chromium and prometheus
	$(BIN)/python -m tests.browser
	$(BIN)/python -m tests.demo --seconds 0 --pictures docs

fuzz: $(VENV)/dev.stamp $(VENV)/fuzz.stamp  ## Look for inputs that break a promise, a million of them; FUZZ='--seconds 60' for a minute
	$(BIN)/python -m tests.fuzz $(FUZZ)

e2e: $(VENV)/dev.stamp $(VENV)/load.stamp $(VENV)/chart.stamp  ## Test containers of the image, and canaries through a real Envoy; needs podman, takes minutes
	$(BIN)/python -m pytest -m e2e

check: $(VENV)/dev.stamp $(VENV)/load.stamp  ## Lint, type-check, and hold the code against the layer rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile

docs: $(VENV)/dev.stamp $(VENV)/load.stamp  ## Write the pages that are made from the code
	$(BIN)/python -m tools.metrics_page
	$(BIN)/python -m tools.dashboard_json
	$(BIN)/python -m tools.settings_page
	$(BIN)/python -m tools.surface

format: $(VENV)/dev.stamp  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/serve.stamp $(VENV)/load.stamp  ## Measure the server against its ceilings on this machine; needs wrk, takes five minutes
	$(BIN)/python -m loadtests.benchmark $(BENCH)

bench-peers: $(VENV)/serve.stamp $(VENV)/load.stamp  ## Measure other servers beside this one, each in an environment of its own; needs wrk, takes ten minutes
	$(BIN)/python -m loadtests.peers $(PEERS)

budget: $(VENV)/serve.stamp $(VENV)/load.stamp  ## Measure where the microseconds of one request go, step by step
	$(BIN)/python -m loadtests.benchmark.budget

chaos: $(VENV)/serve.stamp $(VENV)/load.stamp  ## Swap models a thousand times under traffic, in every good and bad way; takes ten minutes
	$(BIN)/python -m loadtests.chaos $(CHAOS)

loadtest: $(VENV)/serve.stamp $(VENV)/load.stamp  ## Put a realistic load on a server and hold it to limits; takes a minute
	$(BIN)/python -m loadtests.headless $(LOADTEST)

split: $(VENV)/dev.stamp $(VENV)/load.stamp $(VENV)/chart.stamp  ## Measure a canary's share at every step, through a real Envoy
	$(BIN)/python -m tests.mesh $(SPLIT)

observe: $(VENV)/serve.stamp $(VENV)/load.stamp  ## Watch servers under traffic: Prometheus, alerts, traces; needs prometheus, until Ctrl-C
	$(BIN)/python -m tests.observability $(OBSERVE)

demo: $(VENV)/serve.stamp $(VENV)/load.stamp  ## See who notices when a new version turns wrong: console, alerts, canary; needs prometheus, until Ctrl-C
	$(BIN)/python -m tests.demo $(DEMO)

image: build/pip.conf  ## Build the container image; docs/image.md names the settings
	$(CONTAINERS) build $(BUILD) --tag $(IMAGE) .

sbom: build/pip.conf  ## Write build/sbom/model-manager.cdx.json: what the image holds, as CycloneDX
	$(CONTAINERS) build $(BUILD) --target sbom --output type=local,dest=build/sbom .

BUILD = --build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) $(BUILD_FLAGS) \
	--label org.opencontainers.image.version=$(VERSION) \
	--label org.opencontainers.image.revision=$(shell git rev-parse HEAD)
ifdef PIP_CERT  # a package index behind a private CA: its certificate is lent to the build, and not kept
BUILD += --secret id=ca,src=$(PIP_CERT) --secret id=pip_conf,src=build/pip.conf
endif

build/pip.conf:
	mkdir -p build
	printf '[global]\ncert = /run/secrets/ca.pem\n' > $@

release: $(VENV)/dev.stamp  ## Rehearse a release, VERSION=0.2.0; CUT=1 keeps its commit and tag: docs/releasing.md
	$(BIN)/python -m tools.release cut $(VERSION) $(if $(TESTED),--tested $(TESTED)) $(if $(CUT),--for-real) $(FILES)

release-files: $(VENV)/dev.stamp  ## Make the files and the image of the release that this commit is
	$(BIN)/python -m tools.release build build/release/$(VERSION) $(if $(TAG),--tag $(TAG)) $(FILES)

publish: $(VENV)/dev.stamp  ## Push image and chart of this release, REGISTRY=ghcr.io/acme
	$(BIN)/python -m tools.release publish build/release/$(VERSION) --registry $(REGISTRY) \
		$(if $(COSIGN_KEY),--cosign-key $(COSIGN_KEY)) $(PUBLISH)

FILES = $(if $(REGISTRY),--registry $(REGISTRY)) $(if $(SIGN_KEY),--sign-key '$(SIGN_KEY)' --keyring $(KEYRING)) \
	$(if $(PASSPHRASE_FILE),--passphrase-file $(PASSPHRASE_FILE))

lock: build/lock/bin/uv  ## Pin every dependency with hashes into locks/
	$< pip compile pyproject.toml --extra compiled --extra fast --extra otlp --extra signing --extra skops --extra remote --extra grpc --group build --output-file locks/serve.txt $(LOCK)
	$< pip compile pyproject.toml --extra compiled --extra fast --extra otlp --extra signing --extra skops --extra remote --extra grpc --group dev --output-file locks/dev.txt $(LOCK)
	$< pip compile pyproject.toml --group build --constraint locks/serve.txt --output-file locks/base.txt $(LOCK)
	$< pip compile pyproject.toml --group load --constraint locks/dev.txt --output-file locks/load.txt $(LOCK)
	$< pip compile pyproject.toml --group chart --constraint locks/dev.txt --constraint locks/load.txt --output-file locks/chart.txt $(LOCK)
	$< pip compile pyproject.toml --group ecosystem --constraint locks/dev.txt --output-file locks/ecosystem.txt $(LOCK)
	$< pip compile --group stores --output-file locks/stores.txt $(LOCK)
	$< pip compile pyproject.toml --group build --group client-spark --constraint locks/dev.txt --output-file locks/client-spark.txt $(LOCK)
	for group in $(filter-out client-spark,$(CLIENT_GROUPS)); do $< pip compile --group $$group --output-file locks/$$group.txt $(LOCK) || exit 1; done
	$< pip compile pyproject.toml --group fuzz --constraint locks/dev.txt --output-file locks/fuzz.txt $(LOCK)
	$< pip compile pyproject.toml --group browser --constraint locks/dev.txt --output-file locks/browser.txt $(LOCK)
	$< pip compile --group sbom --output-file locks/sbom.txt $(LOCK)

# extras are kept in the pins: pip 23 takes an unpinned `coverage[toml]` for another package than `coverage`
LOCK := --generate-hashes --no-strip-extras --no-emit-index-url --no-header --universal --python-version 3.11 --quiet

build/lock/bin/uv:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip --disable-pip-version-check --quiet install uv==$(UV_VERSION)

$(VENV)/%.stamp: locks/%.txt pyproject.toml
	@sh tools/install.sh $(VENV) locks/$*.txt $(PYTHON)
	@touch $@

# the server of the tests alone, whose dependencies would not go together with ours
$(STORES)/stores.done: locks/stores.txt
	test -x $(STORES)/bin/python || $(PYTHON) -m venv $(STORES)
	$(STORES)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	touch $@

# an environment for each group: their dependencies would not go together with ours, nor with one another
$(CLIENTS)/%/installed.stamp: locks/%.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	touch $@

clean:  ## Remove everything that was built
	rm -rf build $(VENV) $(ECOSYSTEM) $(STORES) $(CLIENTS) .venv-peers $(MINORS:%=.venv-3.%)
