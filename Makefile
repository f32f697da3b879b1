# make run     the first table: the reference augmenter beside the baselines
# make test    the tests
# make plugins the example plugin and a new one of each kind: installed, tested, run, and uninstalled again
# make check   lint, docs, test, plugins and gate: all that CI runs
# make gate    run the experiment quick, and fail where its table got worse than the committed baseline
# make docs    build the documentation into site/, strictly: a link that leads nowhere fails
# make reference   write into the pages what the code says of itself; with RUN=DIR also what that run printed
# make speed   the speed measurements, each a ratio against a named reference
# make clean   remove caches and builds; the environment and results/ stay
#
# Everything is installed into VENV, and again only when pyproject.toml has changed. To choose, e.g. `make run PYTHON=python3.12`:
#   PYTHON     makes the environment; 3.11 or newer
#   VENV       where the environment is; no spaces
#   TESTS_AT_ONCE   processes that share the tests, file by file; 0: one after the other, as a debugger wants
#   GATE_RUN   where `make gate` keeps its run; the same run goes on where it stopped
#   PIP_ARGS   more arguments for pip, e.g. an index with CPU builds of torch; pip's own configuration counts as well

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
TESTS_AT_ONCE ?= 2
GATE_RUN ?= results/quick

BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check
WANTS_311 = import sys; found = "%d.%d" % sys.version_info[:2]; sys.exit(sys.version_info < (3, 11) \
  and "benchfw wants Python 3.11 or newer, but $(PYTHON) is " + found + "; name another: make PYTHON=python3.12")

.PHONY: run test plugins check lint gate docs reference env speed clean

run: $(VENV)/.installed
	$(BIN)/benchfw run --augmenter gan-feature

test: env
	$(BIN)/pytest --numprocesses $(TESTS_AT_ONCE) --dist loadfile

plugins: env
	$(BIN)/python scripts/try_plugins.py

check: lint docs test plugins gate

lint: env
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

gate: $(VENV)/.installed
	$(BIN)/benchfw run quick --out $(GATE_RUN)
	$(BIN)/benchfw check $(GATE_RUN) --baseline results/reference/quick/baseline.json

docs: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reference: env
	$(BIN)/python scripts/write_reference.py

speed: env
	$(BIN)/pytest tests/speed -o addopts="--strict-markers --strict-config" --benchmark-only

env: $(VENV)/.installed-dev

$(BIN)/pip:
	@$(PYTHON) -c '$(WANTS_311)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/pip
	@echo "Installing benchfw into $(VENV); torch is large, so the first time takes minutes"
	@$(INSTALL) --upgrade "pip>=25.1"  # the first with --group
	@$(INSTALL) $(PIP_ARGS) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the tools for tests and checks into $(VENV)"
	@$(INSTALL) $(PIP_ARGS) --group dev
	@touch $@

clean:
	rm -rf build dist site .benchmarks .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find benchfw plugins tests -name __pycache__ -prune -exec rm -rf {} +
