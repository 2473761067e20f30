# Everything starts here: `make help`.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup app lessons notebooks test test-full test-gpu bench-gpu format

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# CPU-only PyTorch, on Linux: make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# Two processes: most of the tests wait for one core each. PYTEST_ARGS adds your own, e.g. "-k cli".
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest
PYTEST_ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Linux without a GPU: add TORCH_INDEX=https://download.pytorch.org/whl/cpu to the first"
	@echo "  make you run; PyTorch's default brings gigabytes of CUDA."

setup: $(INSTALLED) ## the .venv with everything in it

app: $(INSTALLED) ## set up what is missing, then open the app in a browser
	$(BIN)/minillm app

lessons: $(INSTALLED) ## set up what is missing, then open the lessons in JupyterLab
	$(BIN)/minillm lessons

notebooks: $(INSTALLED) ## write the lessons' notebooks from their sources
	$(BIN)/python scripts/build_lessons.py

test: $(INSTALLED) ## set up what is missing, then lint, types, import contracts and tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache
	$(PYTEST) -n 2 -m "not full and not gpu" $(PYTEST_ARGS)

test-full: $(INSTALLED) ## the long matrices and soaks that `make test` samples
	$(PYTEST) -n 2 -m "not gpu" $(PYTEST_ARGS)

test-gpu: $(INSTALLED) ## the tests that need a CUDA device
	$(PYTEST) -m gpu $(PYTEST_ARGS)

# make bench-gpu PYTHON=python3 takes that Python with what it has, and sets nothing up.
PYTHON =
RUN = $(or $(PYTHON),$(BIN)/python)
bench-gpu: $(if $(PYTHON),,$(INSTALLED)) ## a GPU's tests, tiles and figures, in under ten minutes
	failed=; \
	timeout 200 $(RUN) -m pytest -n 4 -m gpu tests/gpu $(PYTEST_ARGS) || failed+=" tests"; \
	timeout 60 $(RUN) -m minillm tune --seconds 10 || failed+=" tune"; \
	timeout 160 $(RUN) -m minillm bench kernels --device cuda --seconds 110 \
		--output benchmarks/results/kernels_gpu.json || failed+=" kernels"; \
	timeout 170 $(RUN) -m minillm bench engine --device cuda --quick --rounds 1 \
		--result benchmarks/results/engine_gpu.json || failed+=" engine"; \
	if [ -n "$$failed" ]; then echo "failed or out of time:$$failed"; exit 1; fi

format: $(INSTALLED) ## sort imports, fix what ruff can fix, format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The first Python that is new enough; the one you call python3 comes first.
FIND_PYTHON = for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$python; exit; fi; done

$(BIN)/python:
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
		echo "minillm needs Python 3.11 or newer; python3 is $$(python3 -V 2>&1 || true)."; exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$python -V)"; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); \
		echo "This Python cannot make environments. On Debian and Ubuntu: apt install python3-venv"; \
		exit 1; }

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing minillm into $(VENV); the first time takes some minutes"
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[dev]'
	@touch $@
