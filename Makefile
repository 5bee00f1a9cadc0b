# Everything a developer or a visitor runs. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= var/demo
HOST ?= 127.0.0.1
FRONTEND := $(wildcard edgebox/web/src/* edgebox/web/src/*/* edgebox/web/icons/*/* edgebox/web/*.json edgebox/web/*.mjs)
LOCALES := $(wildcard edgebox/web/locales/*/LC_MESSAGES/*.po sync/hub/locales/*/LC_MESSAGES/*.po)
INPUTS := setup.cfg setup.py pyproject.toml $(FRONTEND) $(LOCALES)

.DEFAULT_GOAL := help
.PHONY: help run test quick browser soak bench check fix wheel clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(VENV)/.run: $(INPUTS)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[publish]'
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[publish,test,check]'
	@touch $@

run: $(VENV)/.run ## a box with a sample pack and class, and a hub, to try in a browser
	@$(BIN)/edgebox demo --data $(DEMO) --host $(HOST)

test: $(VENV)/.test ## every test, those in a real browser included
	$(BIN)/python -m pytest -m 'not soak'

quick: $(VENV)/.test ## the tests that need no browser and start no servers
	$(BIN)/python -m pytest -m 'not browser and not soak' tests/base tests/content_packs tests/sync tests/edgebox

browser: $(VENV)/.test ## the tests in Chromium; screenshots are written to var/screenshots
	$(BIN)/python -m pytest -m browser

soak: $(VENV)/.test ## long runs: many kills, and a fuzzer for every parser
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python -m pytest -m soak

bench: $(VENV)/.test ## print the figures of the README, beside their limits and peers
	$(BIN)/python -m tests.benchmarks

check: $(VENV)/.test ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.test ## repair what the style checker can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.run ## dist/edgebox-*.whl with the built front end
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what was built; the demo's data in var/ stays
	rm -rf $(VENV) build dist edgebox/web/static edgebox/web/node_modules *.egg-info .mypy_cache .ruff_cache .pytest_cache
