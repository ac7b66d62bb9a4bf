# Each target is a short call; the work is done by Python code in hack/.
PYTHON ?= python3
DEV := PYTHONPATH=hack .venv/bin/python -m tradingbot_dev
RELEASE := PYTHONPATH=hack .venv/bin/python -m release
TESTS ?=
LOCK ?=
# Two of them mostly wait for a control plane.
WORKERS ?= 4
KILLS ?= 100
MINUTES ?= 30
STEPS ?= 1000000
SEED ?= 1
BOTS ?= 500
IMAGE ?=
DIGEST ?=
# With a file for the names of flaky tests, as in CI, a failed test runs a second time, alone.
PYTEST := $(if $(TRADINGBOT_FLAKY_TESTS),flakes,pytest)
REPOSITORY ?=
TAG ?=

.DEFAULT_GOAL := help
.PHONY: help install postgresql up down clean status restart tour crash calm test coverage test-clients e2e-cluster e2e-cluster-parts storm soak breaches lint lint-types lint-style bench bench-webhooks bench-operator bench-exchange bench-gateway bench-registry generate built-in-types picture crds lock npm-files browser lint-page lint-imports lint-generated lint-words lint-workflows wheel chart-package chart-push install-yaml image-push sbom release-artifacts release-check release-notes

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## create .venv from the pinned requirements (other targets do so first)
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo "error: $(PYTHON) not found; Python 3.11 or later is required: make up PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" hack/bootstrap.py

postgresql: ## install PostgreSQL's server, which the registry's tests start (Debian, as root)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -q && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql; } || \
	  { echo "error: PostgreSQL's server is missing; as root: apt install postgresql" >&2; exit 1; }

up: install ## start everything on a local control plane, and show a tour
	@$(DEV) up

down: ## stop everything that `make up` started, and keep the state
	@if [ -x .venv/bin/python ] && [ -d .local ]; then $(DEV) down; else echo "nothing was running"; fi

clean: ## stop everything, and remove the state (.local)
	@if [ -x .venv/bin/python ] && [ -d .local ]; then $(DEV) clean; else echo "nothing was running"; fi

status: install ## show what runs, and where
	@$(DEV) status

restart: install ## restart our own processes with the current code
	@$(DEV) restart

tour: install ## watch the bots of `make up` (q leaves); without a terminal, its tour again
	@$(DEV) tour

crash: install ## let the market of the simulated exchanges fall, and see a bot halted
	@$(DEV) crash

calm: install ## end the crash of `make crash`: prices return
	@$(DEV) calm

test: install ## run the tests; for some of them: TESTS="operator/tests -k drift"
	@$(DEV) assets
	@.venv/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

coverage: install ## run the tests, and report the coverage of every process that they start
	@$(DEV) assets
	@rm -rf .coverage && mkdir -p .coverage
	@PYTHONPATH=hack .venv/bin/coverage run -m $(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)
	@.venv/bin/coverage combine --quiet
	@.venv/bin/coverage report

test-clients: install ## test the exchanges and the gateway with real clients; TESTS="freqtrade -k crash"
	@.venv/bin/python hack/clients.py $(TESTS)

e2e-cluster: install ## test the product on a real node, with cert-manager (as root); TESTS as above
	@PYTHONPATH=hack .venv/bin/python -m tradingbot_node test $(TESTS)

e2e-cluster-parts: install ## build what e2e-cluster needs, but for the product's image (as root)
	@PYTHONPATH=hack .venv/bin/python -m tradingbot_node build

storm: install ## kill an operator a hundred times in the middle of work; KILLS=1000 for more
	@TRADINGBOT_STORM_KILLS=$(KILLS) .venv/bin/python -m pytest -s e2e/test_e2e_storm.py

soak: install ## run 500 bots for half an hour, and check the memory; MINUTES=30 BOTS=500
	@.venv/bin/python e2e/soak.py --minutes $(MINUTES) --bots $(BOTS)

breaches: install ## search for breaches of the gateway's limits; STEPS=1000000 SEED=1
	@PYTHONPATH=gateway .venv/bin/python -m breaches --steps $(STEPS) --seed $(SEED)

# mypy takes half of the time, on one core.
lint: install ## check style, types, imports, generated files, spelling and words
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint-types lint-style lint-imports \
	  lint-generated lint-words release-check lint-workflows

lint-types: install ## check the types alone
	.venv/bin/mypy

lint-style: install ## check style and format alone
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

lint-imports: install ## check the layers of imports alone
	PYTHONPATH=hack:gateway .venv/bin/lint-imports --no-logo

lint-generated: install ## check alone that no generated file is stale
	PYTHONPATH=hack .venv/bin/python -m codegen.generate --check

lint-words: install ## check spelling and refused words alone
	.venv/bin/codespell
	PYTHONPATH=hack .venv/bin/python -m words

lint-workflows: install ## run actionlint and zizmor alone, on .github
	@$(RELEASE) workflows

lint-page: install ## check the types of the registry's page alone (needs npm; not part of lint)
	@PYTHONPATH=hack .venv/bin/python hack/page_types.py

bench: bench-webhooks bench-operator bench-exchange bench-gateway bench-registry ## run the benchmarks

bench-webhooks: install ## compare the webhooks with a peer in Go (bench/results/webhooks.json)
	@PYTHONPATH=hack .venv/bin/python -m bench webhooks

bench-operator: install ## compare the operator with a peer in Go (bench/results/operator.json)
	@PYTHONPATH=hack .venv/bin/python -m bench operator

bench-exchange: install ## measure the simulated exchange (bench/results/exchange.json)
	@PYTHONPATH=hack .venv/bin/python -m bench exchange

bench-gateway: install ## compare the gateway with a proxy in Go (bench/results/gateway.json)
	@PYTHONPATH=hack .venv/bin/python -m bench gateway

bench-registry: install ## compare the registry with FastAPI and axum (bench/results/registry.json; needs cargo)
	@PYTHONPATH=hack .venv/bin/python -m bench registry

generate: install ## write the generated files: CRDs, chart templates, reference pages
	@PYTHONPATH=hack .venv/bin/python -m codegen.generate

built-in-types: install ## write the table of Kubernetes' types; OPENAPI=api/openapi-spec/v3 of its source
	@PYTHONPATH=hack .venv/bin/python -m codegen.built_in_types "$(OPENAPI)"

picture: install ## record the commands of the README's picture and draw it
	@PYTHONPATH=hack .venv/bin/python -m picture

crds: install ## print the CRDs
	@.venv/bin/tradingbot crds

lock: install ## pin the requirements; LOCK=--upgrade for the newest versions
	@.venv/bin/python hack/lock.py $(LOCK)

npm-files: install ## copy the files of npm's packages that the registry serves or is tested with
	@.venv/bin/python hack/npm_files.py

BROWSERS := chromium-headless-shell chromium google-chrome

browser: ## install Chromium for the tests of the registry's page, if there is no browser (as root)
	@for browser in $(BROWSERS); do if command -v $$browser; then exit 0; fi; done; \
	  apt-get update --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet \
	    --no-install-recommends chromium-headless-shell fonts-dejavu-core

wheel: install ## build the wheel into dist/; the same commit gives the same bytes
	@$(RELEASE) wheel

chart-package: install ## package the Helm chart into dist/; IMAGE=REGISTRY/PATH is its default image
	@$(RELEASE) chart --image "$(IMAGE)"

chart-push: install ## push the packaged chart, print its digest; REPOSITORY=oci://REGISTRY/PATH
	@$(RELEASE) chart-push --repository "$(REPOSITORY)"

install-yaml: install ## write config/default to dist/install.yaml; IMAGE=REGISTRY/PATH DIGEST=sha256:...
	@$(RELEASE) install-yaml --image "$(IMAGE)" --digest "$(DIGEST)"

image-push: install ## build the image for amd64 and arm64 and push it, print its digest; IMAGE=REGISTRY/PATH
	@$(RELEASE) image-push --image "$(IMAGE)"

sbom: install ## write the image's SBOM into dist/; IMAGE=ARCHIVE of `docker save`, or built here (as root)
	@$(RELEASE) sbom --image "$(IMAGE)"

release-artifacts: wheel chart-package install-yaml ## what a release has beside the image, into dist/

release-check: install ## fail if versions differ or CHANGELOG has no entry; TAG=v1.2.3 to release it
	@$(RELEASE) check --tag "$(TAG)"

release-notes: install ## print the notes of the release, from CHANGELOG
	@$(RELEASE) notes
