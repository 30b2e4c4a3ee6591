# kip: keeps container images on the nodes of a Kubernetes cluster. `make help` lists what there is.
SHELL := /bin/bash
DOCKERIMAGE_NAME ?= kip
DOCKERIMAGE_TAG ?= dev

.DEFAULT_GOAL := build
.PHONY: packages help build docker demo test lint types imports docs unit e2e bench verify fmt setup clean undemo

help: ## List the targets
	@awk -F':.*## ' '/^[a-z][a-z0-9]*:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with the pinned tools
	@hack/setup

build: setup ## Build the sleeper and the command .venv/bin/kip
	@$(MAKE) --no-print-directory -C sleep

docker: setup ## Build the keeper's image DOCKERIMAGE_NAME:DOCKERIMAGE_TAG
	@hack/docker "$(DOCKERIMAGE_NAME):$(DOCKERIMAGE_TAG)"

demo: setup ## A real Kubernetes on this machine, with kip in it keeping real images
	@.venv/bin/python hack/demo up

undemo: ## Remove the demo and its cluster
	@hack/cluster down

test: lint types imports docs unit e2e ## Everything: static checks, unit tests, sleeper tests, e2e on a real cluster

lint: setup ## Style, shell scripts, spelling
	@.venv/bin/ruff check --quiet . && .venv/bin/ruff format --quiet --check . && echo "ruff: clean"
	@hack/verify-shell
	@.venv/bin/codespell && echo "codespell: clean"

types: setup ## mypy, strict
	@.venv/bin/mypy

imports: setup ## The direction of imports between the rooms
	@.venv/bin/lint-imports --no-logo | tail -3

docs: setup ## What is generated is up to date: requirements, settings table, metrics, golden manifests
	@hack/verify-generated

unit: build packages ## Tests that need no cluster, and the sleeper's
	@.venv/bin/pytest --numprocesses auto tests sleep/tests

packages: setup ## Debian packages that the tests need: Chromium, a registry
	@.venv/bin/python hack/packages.py

e2e: build ## Tests on the real cluster of hack/cluster
	@hack/run-e2e.sh

bench: build ## Sizes, memory and CPU of the keeper, the sleeper and the images
	@.venv/bin/python hack/bench

fmt: setup ## Format the code
	@.venv/bin/ruff format --quiet . && .venv/bin/ruff check --quiet --fix .

clean: ## Remove what was built here (the cluster stays: make undemo)
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './.venv/*' -not -path './.cluster/*' -prune -exec rm -rf {} +
