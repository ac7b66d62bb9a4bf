# Every target is one line in `make`; what it does is in hack/, in Python.
PYTHON ?= python3
DEV := PYTHONPATH=hack .venv/bin/python -m tradingbot_dev
TESTS ?=
LOCK ?=
KILLS ?= 100
MINUTES ?= 30
BOTS ?= 500

.DEFAULT_GOAL := help
.PHONY: help install up down clean status restart tour test e2e-cluster storm soak lint bench bench-webhooks bench-operator generate crds lock

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## make .venv from the pinned requirements (every other target does so first)
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo "error: there is no $(PYTHON); Python 3.11 or later is needed: make up PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" hack/bootstrap.py

up: install ## start everything that is not running, and show what happened
	@$(DEV) up

down: ## stop everything that `make up` started; the state stays
	@if [ -x .venv/bin/python ]; then $(DEV) down; else echo "nothing was running"; fi

clean: ## stop everything and remove its state (.local)
	@if [ -x .venv/bin/python ]; then $(DEV) clean; else echo "nothing was running"; fi

status: install ## what runs, and where
	@$(DEV) status

restart: install ## start webhooks, registry and operator anew, to run the code as it is now
	@$(DEV) restart

tour: install ## show once more what admission, operator and registry make of the samples
	@$(DEV) tour

test: install ## run every test on a control plane of its own; TESTS="operator/tests -k drift" for some
	@$(DEV) assets
	@.venv/bin/python -m pytest -n 2 --dist loadfile $(TESTS)

e2e-cluster: install ## the product in pods on a real node, with cert-manager (as root); TESTS as above
	@PYTHONPATH=hack .venv/bin/python -m tradingbot_node test $(TESTS)

storm: install ## an operator killed a hundred times in the middle of work; KILLS=1000 for more
	@TRADINGBOT_STORM_KILLS=$(KILLS) .venv/bin/python -m pytest -s e2e/test_e2e_storm.py

soak: install ## half an hour of 500 bots under random work, and whether memory stays flat; MINUTES, BOTS
	@.venv/bin/python e2e/soak.py --minutes $(MINUTES) --bots $(BOTS)

lint: install ## ruff, mypy, import arrows, stale generated files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/python hack/generate.py --check

bench: bench-webhooks bench-operator ## run the benchmarks

bench-webhooks: install ## the webhooks against a peer in Go, one table and bench/results/webhooks.json
	@PYTHONPATH=hack .venv/bin/python -m bench webhooks

bench-operator: install ## the operator against a peer in Go, one table and bench/results/operator.json
	@PYTHONPATH=hack .venv/bin/python -m bench operator

generate: install ## write the generated files: CRDs, the chart's templates, the pages of reference
	@.venv/bin/python hack/generate.py

crds: install ## print the CRDs
	@.venv/bin/tradingbot crds

lock: install ## pin the requirements anew; LOCK=--upgrade takes the newest of everything
	@.venv/bin/python hack/lock.py $(LOCK)
