# make demo   sets up .venv and does the main job on a network that layoutopt builds by itself
# make test   sets up .venv and passes the tests
# make docs   sets up .venv and builds the site

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# One interpreter per core compatibility run; any of them can be given as a path.
CORE_PYTHONS ?= python3.11 python3.12 python3.13

# A real browser for the tests of the report's page; where there is none and none can be had, these tests are skipped.
CHROMIUM = $(shell command -v chromium)

.PHONY: demo test test-long test-core docs benchmark measure figures zoo peers lint clean chromium

demo: $(VENV)/.core
	$(BIN)/layoutopt demo --force

test: $(VENV)/.test lint chromium
	LAYOUTOPT_CHROMIUM=$(CHROMIUM) $(BIN)/python -m pytest -m "not long"

test-long: $(VENV)/.test
	$(BIN)/python -m pytest -m long

# All that works without TensorFlow and PyTorch, conversions included, on every Python that it supports.
test-core:
	for python in $(CORE_PYTHONS); do \
	  venv=.venv-core-$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  $$python -m venv $$venv && \
	  $$venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[images,test]' && \
	  $$venv/bin/python -m pytest -m "not long and not onnx_tf and not torch and not docs" || exit 1; \
	done

# The site, to be read without a network; links that lead nowhere are errors.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/site
	@echo "file://$(CURDIR)/build/site/index.html"

# Converts the networks that something has changed for, and times them all: ten minutes if nothing has.
benchmark: $(VENV)/.test
	$(BIN)/python -m benchmarks.networks_table
	$(BIN)/python -m benchmarks.figures

# All other figures of the docs that take minutes, not hours: those of single operators and of single networks.
measure: $(VENV)/.test
	$(BIN)/layoutopt calibrate
	for script in operator_times transpose_times quantized dynamic choices examples rewrites; do \
	  $(BIN)/python -m benchmarks.$$script || exit 1; \
	done
	$(BIN)/python -m benchmarks.figures

# Puts the results that are committed into README and docs, draws their pictures, and writes the page of the command
# line; measures nothing.
figures: $(VENV)/.test
	$(BIN)/python -m benchmarks.figures

# Published networks, all the way; makes an environment of some GB for the packages that they come from, under build/zoo.
zoo: $(VENV)/.test
	$(BIN)/python -m benchmarks.zoo
	$(BIN)/python -m benchmarks.figures

# Debian's, as root or where sudo asks for no password.
chromium:
	@command -v chromium >/dev/null || ! command -v apt-get >/dev/null || \
	  { root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
	    { $$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$root apt-get install -qq -y --no-install-recommends chromium; } \
	    || echo "Chromium could not be installed: the tests of the report's page are skipped."; }

# Other converters beside ours; makes an environment for each, some GB in all, under build/peers. One of them wants
# Python 3.12: make peers PYTHON312=/path/to/python3.12 where it is not on the path.
peers: $(VENV)/.test
	$(BIN)/python -m benchmarks.peers $(if $(PYTHON312),--python3.12 $(PYTHON312))
	$(BIN)/python -m benchmarks.figures

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e .
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[docs]'
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[dask,images,onnx-tf,torch,docs,test]'
	touch $@ $(VENV)/.core $(VENV)/.docs

clean:
	rm -rf .venv .venv-core-* build dist *.egg-info
