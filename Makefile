# One virtual environment, .venv. Each stamp in it says that one set of packages is installed, so that `make demo` on a
# fresh machine fetches neither the development tools nor torch. All paths are relative: the checkout's own path may
# hold spaces. PYTHON=… names another interpreter, PIP_ARGS=… adds to pip's arguments.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-slow lint fix bench clean

PYTHON ?=
PIP_ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= 2

venv := .venv
bin := $(venv)/bin
sources := $(wildcard memstore mcp_server bench examples tests)

help: ## show these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 18

demo: $(venv)/.stamp-base ## agents share a memory, in a temporary store
	@$(bin)/memstore demo

test: $(venv)/.stamp-test ## the tests, without the slow ones
	@$(bin)/python -m pytest -q -n $(WORKERS) -m "not slow" $(PYTEST_ARGS)

test-slow: $(venv)/.stamp-test ## only the slow tests; that there are none is no failure
	@$(bin)/python -m pytest -q -m slow $(PYTEST_ARGS) || [ $$? -eq 5 ]

lint: $(venv)/.stamp-dev ## ruff and mypy
	@$(bin)/ruff check --quiet .
	@$(bin)/ruff format --check --quiet .
	@$(bin)/mypy --no-error-summary $(sources)

fix: $(venv)/.stamp-dev ## what ruff can put right by itself
	@status=0; $(bin)/ruff check --fix --quiet . || status=$$?; $(bin)/ruff format --quiet . && exit $$status

bench: $(venv)/.stamp-base ## the budgets of docs/DESIGN.md, measured
	@$(bin)/python -m bench

clean: ## remove the virtual environment and all caches
	@rm -rf $(venv) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(venv)/.stamp-base: extras :=
$(venv)/.stamp-test: extras := [test]
$(venv)/.stamp-dev: extras := [dev]

$(venv)/.stamp-%: pyproject.toml constraints.txt | $(bin)/python
	@echo "Installing memstore$(extras) into $(venv) …"
	@$(bin)/python -m pip install -qq --no-input --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e ".$(extras)"
	@touch $@

$(bin)/python:
	@for python in $(or $(PYTHON),python3.11 python3 python3.12 python3.13 python3.14); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        exec "$$python" -m venv $(venv); \
	    fi; \
	done; \
	echo "memstore needs Python 3.11 or newer; none was found. Name one with: make PYTHON=/path/to/python3" >&2; exit 1
