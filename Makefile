# Thin on purpose: each target sets up .venv and hands over to one program. `make help` lists them.

PROFILE ?= mini
SEEDS ?= 5
JOBS ?= all
PYTHON ?= $(firstword $(shell command -v python3.11 2>/dev/null) $(shell command -v python3 2>/dev/null) python3)

# What a caller gives is text: make must not expand it, and the shell gets it as a variable ("$$NB"), not as code.
$(foreach v,PROFILE SEEDS JOBS NB TABLE,$(eval override $(v) := $$(value $(v))))
export PROFILE SEEDS JOBS NB TABLE

# XSIM_VENV names an existing environment to use as it is; otherwise .venv is made and kept in step.
# A path may have spaces, so no function of make that works on words may touch it.
VENV := $(if $(filter /%,$(XSIM_VENV)),$(XSIM_VENV),$(CURDIR)/$(or $(XSIM_VENV),.venv))
READY := $(if $(XSIM_VENV),,.venv/.installed)

export PATH := $(VENV)/bin:$(PATH)
export XSIM_HOME := $(CURDIR)
# Jobs run side by side, one thread each: faster than one job with several threads at these sizes.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: help setup book notebook record test test-slow lint clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12
	@echo "Variables: PROFILE=$$PROFILE SEEDS=$$SEEDS JOBS=$$JOBS NB=anc2022/fig1_cka_failure XSIM_VENV= XSIM_DATA="

setup: $(READY)  ## make .venv from requirements.lock, and torch from requirements.txt

# Every file is the one whose hash the lock has; torch, whose build differs by machine, comes by version alone.
.venv/.installed: requirements.lock requirements.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is " + sys.version.split()[0] + ". Name another one: make PYTHON=/path/to/python3.11")'
	"$(PYTHON)" -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

book: $(READY)  ## execute every notebook and build the book: _build/PROFILE/html/index.html
	@python -m xsim_lib.workflow.commands book --profile "$$PROFILE" --jobs "$$JOBS"

notebook: $(READY)  ## execute one notebook: make notebook NB=anc2022/fig1_cka_failure PROFILE=mini
	@test -n "$$NB" || { echo "NB is missing: make notebook NB=anc2022/fig1_cka_failure PROFILE=$$PROFILE"; exit 2; }
	@python -m xsim_lib.workflow.commands --profile "$$PROFILE" --jobs "$$JOBS" -- notebook "$$NB"

record: $(READY)  ## measure over SEEDS seeds into results/PROFILE, or some tables: make record TABLE=anc2022.fig4
	@python -m xsim_lib.workflow.commands record --profile "$$PROFILE" --seeds "$$SEEDS" --jobs "$$JOBS" --tables "$$TABLE"

# The builds of the tests go to a folder of their own: tests never write into sources.
test test-slow: export XSIM_BUILD := $(or $(XSIM_TEST_BUILD),$(CURDIR)/_build/test)
test test-slow: export XSIM_CACHE := $(XSIM_BUILD)/cache
test: $(READY)  ## run the tests: unit, property-based, nbval at smoke, a strict book build
	@sh .ci/chromium
	python -m pytest -n 2 --dist loadfile --nbval-lax -m "not slow" tests notebooks

test-slow: $(READY)  ## run the tests that take long: every live page against its record, kill -9 series, bare environments
	python -m pytest -n 2 --dist loadfile --nbval-lax -m slow tests notebooks

lint: $(READY)  ## ruff check and format check, imports run one way
	ruff check .
	ruff format --check .
	lint-imports --no-cache

clean:  ## remove _build (checkpoints and executed notebooks included), keep .venv
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
