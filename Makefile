# `make` prints the targets. Everything happens in .venv, dist and target; nothing else is touched.
PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=
TORTURE_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
# Stamps live inside the environment, so that deleting it forgets them too.
STAMPS := $(VENV)/stamps
# Named after the interpreter: another PYTHON makes the environment afresh.
VENV_READY := $(STAMPS)/venv-$(subst /,-,$(PYTHON))
WHEEL_READY := $(STAMPS)/wheel

# What the wheel is made of. Folders are listed as well: their time tells of a deleted file.
SOURCES := pyproject.toml $(wildcard Cargo.toml Cargo.lock) \
	$(shell find rust python data -name __pycache__ -prune -o -print 2>/dev/null)
CARGO := $(shell command -v cargo 2>/dev/null)

# One interpreter for all cargo commands, or pyo3 would be compiled again for each.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests are for the installed wheel, whatever the caller's path says.
unexport PYTHONPATH

# $(call require,NAME,VERSION,OLDEST,ADVICE) stops where VERSION is older than OLDEST.
require = @oldest="$(3)"; version="$(2)"; \
	test "$$(printf '%s\n' "$$oldest" "$$version" | sort -V | head -n 1)" = "$$oldest" || \
	{ echo "fastgrad needs $(1) $$oldest or newer, but this one is $$version. $(4)" >&2; exit 1; }
PYTHON_OLDEST := $$(sed -n 's/^requires-python = ">=\(.*\)"/\1/p' pyproject.toml)
RUST_OLDEST := $$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

.PHONY: help demo test torture bench docs notebooks lint wheel clean
# Two pip commands must not change one environment at the same time.
.NOTPARALLEL:

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(WHEEL_READY) $(STAMPS)/group-demo  ## train a small classifier, count names and make up some, draw both
	@$(BIN)/fastgrad demo

test: $(WHEEL_READY) $(STAMPS)/group-test  ## test the core with cargo and the installed wheel with pytest
ifdef CARGO
	cargo test --workspace
else
	@echo 'cargo is not installed: the tests of the Rust core are left out.'
endif
	$(BIN)/python -m pytest $(PYTEST_ARGS)

torture: $(WHEEL_READY) $(STAMPS)/group-test  ## hostile calls, leaks, forks, kills, damage: minutes (TORTURE_ARGS: SECONDS SEED)
	$(BIN)/python tests/torture/run.py $(TORTURE_ARGS)

bench: $(WHEEL_READY) $(STAMPS)/group-bench  ## measure against peers (BENCH_ARGS goes to benches/run.py)
	$(BIN)/python benches/run.py $(BENCH_ARGS)
ifdef CARGO
	cargo bench -p fastgrad-core
else
	@echo 'cargo is not installed: the benchmarks of the Rust core are left out.'
endif

lint: $(WHEEL_READY) $(STAMPS)/group-lint  ## check formatting, lints, types and stubs
ifdef CARGO
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
else
	@echo 'make lint needs cargo with rustfmt and clippy: see https://rustup.rs' >&2; exit 1
endif
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python tests/typing/check.py
	$(BIN)/python -m mypy.stubtest fastgrad._core --allowlist python/stubtest-allowlist.txt

docs: $(WHEEL_READY) $(STAMPS)/group-docs  ## build the site into docs/_build/html
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html docs docs/_build/html
	@echo 'docs/_build/html/index.html'

notebooks: $(WHEEL_READY) $(STAMPS)/group-docs  ## run the notebooks of docs/notebooks, and store what they print
	$(BIN)/python docs/run_notebooks.py

wheel: $(WHEEL_READY)  ## build the release wheel into dist and install it in .venv

clean:  ## remove all that make has made
	rm -rf $(VENV) dist docs/_build fastgrad-demo out target .hypothesis .pytest_cache .ruff_cache .mypy_cache

$(VENV_READY):
	@command -v $(PYTHON) >/dev/null || \
	{ echo '$(PYTHON) is not installed. Debian: apt install python3 python3-venv' >&2; exit 1; }
	$(call require,Python,$$($(PYTHON) -c 'import platform; print(platform.python_version())'),$(PYTHON_OLDEST),Name another: make PYTHON=python3.12)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo '$(PYTHON) cannot make environments. Debian: apt install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet 'pip>=25.1'  # the first that knows dependency groups
	@mkdir -p $(STAMPS) && touch $@

# pip asks maturin for the wheel; where cargo is missing, maturin has pip fetch one (puccinialin).
# The build happens in this folder, so cargo compiles only what has changed since the last time.
$(WHEEL_READY): $(SOURCES) $(VENV_READY)
ifdef CARGO
	$(call require,Rust,$$(cargo --version | cut -d ' ' -f 2),$(RUST_OLDEST),See https://rustup.rs)
endif
	@rm -f dist/fastgrad-*.whl
	$(PIP) wheel . --no-deps -w dist
	$(PIP) install --quiet --force-reinstall --no-deps dist/fastgrad-*.whl
	$(PIP) install --quiet dist/fastgrad-*.whl  # what it depends on
	@touch $@

# The packages of one dependency group of pyproject.toml.
$(STAMPS)/group-%: pyproject.toml $(VENV_READY)
	$(PIP) install --quiet --group $*
	@touch $@
