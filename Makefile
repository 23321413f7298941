# The two commands first: `make demo`, `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

WEEKS   ?= 10
ROUNDS  ?= 1
REVIEWS ?= synthetic:
DATE    ?= 2026-01-05

.DEFAULT_GOAL := help
.PHONY: help demo test dag-test bench lint lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(READY) ## ten weekly retrains on this machine, no Docker, no AWS; WEEKS=3 REVIEWS=path/to/archive.tgz
	@$(BIN)/ratchet rehearse --weeks $(WEEKS) --reviews "$(REVIEWS)"

test: $(READY) ## everything there is to test
	@$(BIN)/python -m pytest

dag-test: $(READY) ## `airflow dags test review_sentiment` for one logical date; DATE=2026-01-05
	@$(BIN)/ratchet dag-test --date $(DATE) --reviews "$(REVIEWS)"

bench: $(READY) ## ours, scikit-learn and fastText, ten weeks each, into docs/benchmarks.md; REVIEWS=path/to/archive.tgz
	@$(BIN)/pip install --quiet --no-deps --require-hashes --target var/bench -r bench/requirements.txt || \
	  echo "fastText has no wheel for this machine: its row is left out."
	@PYTHONPATH=.:var/bench $(BIN)/python -m bench --reviews "$(REVIEWS)" --weeks $(WEEKS) --rounds $(ROUNDS) --write

lint: $(READY) ## style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

lock: ## resolve requirements.txt anew from pyproject.toml; hashed, without index addresses
	@$(PYTHON) -m venv var/lock && var/lock/bin/pip install --quiet uv
	@var/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --all-extras --output-file requirements.txt pyproject.toml

clean: ## forget everything that was installed or made here
	rm -rf $(VENV) var

# uv, itself from the lock, installs the rest in a fifth of pip's time; every file is checked against its hash.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Ratchet needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (once, some minutes)"
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > $(VENV)/uv.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
