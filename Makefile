# Verbs a person types; each is a line or two, the work is in slipway/, lab/ and devtools/.
# `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
.DEFAULT_GOAL := help
# Some machines and most containers set it: each start would compile 600 modules anew.
unexport PYTHONDONTWRITEBYTECODE
# The quick tiers in a process for each core. The others after them in two: one for the
# lab's cluster, one for all else; tests with the marker `calm` run alone even so.
SPREAD = --numprocesses=auto --maxprocesses=8 --dist=loadfile --no-loadscope-reorder
BESIDE = --numprocesses=2 --dist=loadfile --no-loadscope-reorder
QUICK = tests/unit tests/rejects tests/property tests/golden tests/policy
OTHERS = tests/emulator tests/server tests/monitor tests/hosts tests/cluster

.PHONY: help up status down test check quick lint format bench docs preview render clean lock release environment demo-drift demo-rollout

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

environment:
	@$(PYTHON) -m devtools.environment

up: environment ## from nothing to a served, scaled, monitored model on this machine
	@.venv/bin/slipway local up

status: environment ## what runs where, and its addresses
	@.venv/bin/slipway local status

down: environment ## stop the lab and leave nothing running; its disks stay
	@.venv/bin/slipway local down

# Exit status 5: pytest was given no test, as where ARGS name one of the other half.
test: environment ## every test this machine can run, a summary line per tier
ifneq ($(findstring tests/,$(ARGS)),)
	@.venv/bin/python -m pytest $(ARGS)
else
	@.venv/bin/python -m pytest $(SPREAD) $(ARGS) $(QUICK); quick=$$?; \
	  [ $$quick != 2 ] || exit 2; \
	  .venv/bin/python -m pytest $(BESIDE) $(ARGS) $(REQUIRE) $(OTHERS); others=$$?; \
	  case $$quick-$$others in 0-5|5-0) ;; 0-*|5-*) exit $$others;; *) exit $$quick;; esac
endif

check: environment ## the quick tests beside the linters: no root, lab, Go or CLI needed
	@$(MAKE) --no-print-directory --keep-going --jobs=2 lint quick

quick: environment
	@.venv/bin/python -m pytest $(SPREAD) -m "not programs" $(ARGS) $(QUICK)

lint: environment ## ruff, mypy strict
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/python -m devtools.typecheck

format: environment ## rewrite the code in the project's format
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

bench: environment ## ratios: our server against FastAPI, what the gateway adds, phases of up
	@.venv/bin/python -m benchmarks.model_server ; .venv/bin/python -m benchmarks.gateway ; \
	  .venv/bin/slipway local times

# Less than 10 minutes on two cores, after `make up`; docs/how-to/demo-drift.md.
demo-drift: environment ## three census years and a fault, replayed: metrics and alerts (ARGS=--help)
	@.venv/bin/python -m examples.demo_drift $(ARGS)

docs: environment ## regenerate the generated reference pages
	@.venv/bin/python -m docs.generate

preview: environment ## what `slipway up` would change in the lab's stacks
	@.venv/bin/slipway preview platform.lab models.lab

render: environment ## the lab's manifests as files under rendered/
	@.venv/bin/slipway render platform.lab models.lab --out rendered

clean: ## remove the lab, the caches and the environment; says how much
	@$(PYTHON) -m devtools.clean

release: environment ## wheel, collection, SBOM, sums and signature in dist/ (ARGS=--help)
	@.venv/bin/python -m devtools.release $(ARGS)

lock: environment ## pins from requirements: constraints.txt, hashes in *.lock (ARGS=--upgrade)
	@.venv/bin/python -m devtools.lock $(ARGS)

# Less than 6 minutes on two cores, after `make up`; docs/how-to/demo-rollout.md.
demo-rollout: environment ## a good revision promoted and a bad one taken back, in the lab
	@.venv/bin/python -m examples.demo_rollout $(ARGS)
