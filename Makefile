# `make help` lists the commands: each target has its line after `##`.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# One interpreter per core compatibility run; any of them can be given as a path.
CORE_PYTHONS ?= python3.11 python3.12 python3.13

# A real browser for the tests of the report's page, which are skipped without one; `make chromium` installs it.
CHROMIUM = $(shell command -v chromium)

# How many processes run the tests. Each may have TensorFlow in a child, which takes 1 GB.
TEST_JOBS ?= 2
PARALLEL = -n $(TEST_JOBS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-core docs benchmark measure generate zoo peers lint hooks clean chromium

help:  ## list these commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/.core  ## optimize a network that layoutopt builds by itself
	$(BIN)/layoutopt demo --force

test: $(VENV)/.test lint  ## lint, types, and the default tests
	LAYOUTOPT_CHROMIUM=$(CHROMIUM) $(BIN)/python -m pytest -m "not long" $(PARALLEL)

test-long: $(VENV)/.test  ## the long tests: more random graphs, all networks in all exports
	$(BIN)/python -m pytest -m long

# All that works without TensorFlow and PyTorch, conversions included, on every Python that it supports.
test-core:  ## the tests without TensorFlow and PyTorch, on Python 3.11, 3.12 and 3.13
	for python in $(CORE_PYTHONS); do \
	  venv=.venv-core-$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  $$python -m venv $$venv && \
	  $$venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[images,test]' && \
	  $$venv/bin/python -m pytest -m "not long and not onnx_tf and not torch and not docs" $(PARALLEL) || exit 1; \
	done

# The site, to be read without a network; links that lead nowhere are errors.
docs: $(VENV)/.docs  ## build the site of these pages, into build/site
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/site
	@echo "file://$(CURDIR)/build/site/index.html"

# Converts the networks that something has changed for, and times them all: ten minutes if nothing has.
benchmark: $(VENV)/.test  ## convert the benchmark networks where something has changed, and time all of them
	$(BIN)/python -m benchmarks.networks_table
	$(BIN)/python -m docs.tools.generate

# All other figures of the docs that take minutes, not hours: those of single operators and of single networks.
measure: $(VENV)/.test  ## measure all other figures of the docs that take minutes, not hours
	$(BIN)/layoutopt calibrate
	for script in operator_times transpose_times quantized dynamic recurrences choices rewrites winograd; do \
	  $(BIN)/python -m benchmarks.$$script || exit 1; \
	done
	$(BIN)/python -m docs.tools.examples
	$(BIN)/python -m docs.tools.generate

# Puts the results that are committed into README and docs, draws their pictures, and writes the page of the command
# line; measures nothing.
generate: $(VENV)/.test  ## write all measured figures, drawings and the command line into README and docs
	$(BIN)/python -m docs.tools.generate

# Published networks, all the way; makes an environment of some GB for the packages that they come from, under build/zoo.
zoo: $(VENV)/.test  ## convert published networks; a run that was interrupted continues
	$(BIN)/python -m benchmarks.zoo
	$(BIN)/python -m docs.tools.generate

# Debian's, as root or where sudo asks for no password.
chromium:  ## install Chromium, for the tests of the report's page
	@command -v chromium >/dev/null || ! command -v apt-get >/dev/null || \
	  { root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
	    { $$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$root apt-get install -qq -y --no-install-recommends chromium; } \
	    || echo "Chromium could not be installed: the tests of the report's page are skipped."; }

# Other converters beside ours; makes an environment for each, some GB in all, under build/peers. One of them wants
# Python 3.12: make peers PYTHON312=/path/to/python3.12 where it is not on the path.
peers: $(VENV)/.test  ## convert the benchmark networks with other converters; an interrupted run continues
	$(BIN)/python -m benchmarks.peers $(if $(PYTHON312),--python3.12 $(PYTHON312))
	$(BIN)/python -m docs.tools.generate

lint: $(VENV)/.lint  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# They need what lint needs: packages from PyPI, without TensorFlow and PyTorch. pre-commit itself fetches nothing.
hooks: $(VENV)/.lint  ## run ruff and mypy before each commit (.pre-commit-config.yaml)
	$(PIP_INSTALL) pre-commit
	$(BIN)/pre-commit install

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e .
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[docs]'
	touch $@

$(VENV)/.lint: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[test]'
	touch $@ $(VENV)/.core

$(VENV)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[dask,images,onnx-tf,torch,docs,test]'
	touch $@ $(VENV)/.core $(VENV)/.docs $(VENV)/.lint

clean:  ## remove the environments and what was built
	rm -rf .venv .venv-core-* build dist *.egg-info
