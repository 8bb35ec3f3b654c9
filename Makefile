# make demo   sets up .venv and does the main job on a network that layoutopt builds by itself
# make test   sets up .venv and passes the tests
# make docs   sets up .venv and builds the site

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# One interpreter per core compatibility run; any of them can be given as a path.
CORE_PYTHONS ?= python3.11 python3.12 python3.13

.PHONY: demo test test-long test-core docs benchmark zoo lint clean

demo: $(VENV)/.tflite
	$(BIN)/layoutopt demo --force

test: $(VENV)/.test lint
	$(BIN)/python -m pytest -m "not long"

test-long: $(VENV)/.test
	$(BIN)/python -m pytest -m long

# The core (optimize to .onnx, count) without TensorFlow and PyTorch, on every Python that it supports.
test-core:
	for python in $(CORE_PYTHONS); do \
	  venv=.venv-core-$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  $$python -m venv $$venv && \
	  $$venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]' && \
	  $$venv/bin/python -m pytest -m "not long and not tflite and not torch and not docs" || exit 1; \
	done

# The site, to be read without a network; links that lead nowhere are errors.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/site
	@echo "file://$(CURDIR)/build/site/index.html"

benchmark: $(VENV)/.test
	$(BIN)/python -m benchmarks.networks_table -o docs/networks.md

# Published networks, all the way; makes an environment of some GB for the packages that they come from, under build/zoo.
zoo: $(VENV)/.test
	$(BIN)/python -m benchmarks.zoo -o docs/zoo.md

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.tflite: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[tflite]'
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[docs]'
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[tflite,torch,docs,test]'
	touch $@ $(VENV)/.tflite $(VENV)/.docs

clean:
	rm -rf .venv .venv-core-* build dist *.egg-info
