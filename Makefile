# Thin on purpose: each target sets up .venv and hands over to one program. `make help` lists them.

PROFILE ?= mini
SEEDS ?= 5
JOBS ?= all
PYTHON ?= $(firstword $(shell command -v python3.11 2>/dev/null) $(shell command -v python3 2>/dev/null) python3)

# XSIM_VENV names an existing environment to use as it is; otherwise .venv is made and kept in step.
VENV := $(abspath $(or $(XSIM_VENV),.venv))
READY := $(if $(XSIM_VENV),,.venv/.installed)

export PATH := $(VENV)/bin:$(PATH)
export XSIM_HOME := $(CURDIR)
# Jobs run side by side, one thread each: faster than one job with several threads at these sizes.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: help setup book notebook record test lint clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12
	@echo "Variables: PROFILE=$(PROFILE) SEEDS=$(SEEDS) JOBS=$(JOBS) NB=anc2022/fig1_cka_failure XSIM_VENV= XSIM_DATA="

setup: $(READY)  ## make .venv from requirements.txt

.venv/.installed: requirements.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is " + sys.version.split()[0] + ". Name another one: make PYTHON=/path/to/python3.11")'
	"$(PYTHON)" -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

book: $(READY)  ## execute every notebook and build the book: _build/PROFILE/html/index.html
	@python -m xsim_lib.workflow book --profile $(PROFILE) --jobs $(JOBS)

notebook: $(READY)  ## execute one notebook: make notebook NB=anc2022/fig1_cka_failure PROFILE=mini
	@test -n "$(NB)" || { echo "NB is missing: make notebook NB=anc2022/fig1_cka_failure PROFILE=$(PROFILE)"; exit 2; }
	@python -m xsim_lib.workflow notebook "$(NB)" --profile $(PROFILE) --jobs $(JOBS)

record: $(READY)  ## measure over SEEDS seeds and write small tables to results/PROFILE
	@python -m xsim_lib.workflow record --profile $(PROFILE) --seeds $(SEEDS) --jobs $(JOBS)

# The builds of the tests go to a folder of their own: tests never write into sources.
test: export XSIM_BUILD := $(or $(XSIM_TEST_BUILD),$(CURDIR)/_build/test)
test: export XSIM_CACHE := $(XSIM_BUILD)/cache
test: $(READY)  ## run all tests: unit, property-based, nbval at smoke, a strict book build
	@sh .ci/chromium
	python -m pytest -n 2 --dist loadfile --nbval-lax tests notebooks

lint: $(READY)  ## ruff check and format check
	ruff check .
	ruff format --check .

clean:  ## remove _build (checkpoints and executed notebooks included), keep .venv
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
