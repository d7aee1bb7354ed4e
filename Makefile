# Verbs a person types; each is a line or two, the work is in slipway/ and lab/.
# `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
.DEFAULT_GOAL := help

.PHONY: help up status down test lint format bench docs preview render clean lock environment

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

environment:
	@$(PYTHON) -m slipway.environment

up: environment ## from nothing to a served, scaled, monitored model on this machine
	@.venv/bin/slipway local up

status: environment ## what runs where, and its addresses
	@.venv/bin/slipway local status

down: environment ## stop the lab and leave nothing running; its disks stay
	@.venv/bin/slipway local down

test: environment ## every test this machine can run, a summary line per tier
	@.venv/bin/python -m pytest $(ARGS)

lint: environment ## ruff, mypy strict
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/python -m slipway.typecheck

format: environment ## rewrite the code in the project's format
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

bench: environment ## ratios: our server against FastAPI, what the gateway adds, phases of up
	@.venv/bin/python -m benchmarks.model_server ; .venv/bin/python -m benchmarks.gateway ; \
	  .venv/bin/slipway local times

docs: environment ## regenerate the generated reference pages
	@.venv/bin/python -m docs.generate

preview: environment ## what `slipway up` would change in the lab's stacks
	@.venv/bin/slipway preview platform.lab models.lab

render: environment ## the lab's manifests as files under rendered/
	@.venv/bin/slipway render platform.lab models.lab --out rendered

clean: ## remove the lab, the caches and the environment; says how much
	@$(PYTHON) -m slipway.clean

lock: environment ## resolve requirements anew into constraints.txt
	@.venv/bin/python -m slipway.lock
