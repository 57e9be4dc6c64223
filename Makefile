# Every target creates the virtual environment that it needs: there is nothing to prepare by hand.

# GNU make skips this. Others take its first line for a rule, and stop at the second.
ifdef OTHER:MAKE
.error This needs GNU make, which other systems call gmake. Type: gmake $(.TARGETS)
endif

# What is meant for another Python, or for where another pip installs, must not reach our environments.
unexport PYTHONHOME PYTHONINSPECT PYTHONPATH PYTHONSTARTUP PYTHONUSERBASE
unexport PIP_CONSTRAINT PIP_PREFIX PIP_PYTHON PIP_REQUIRE_HASHES PIP_ROOT PIP_TARGET
# Set, so that it overrides a pip.conf as well.
export PIP_USER := 0

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The tools of `make audit` are kept apart, so that they add nothing to what is run and tested.
AUDIT := .venv-audit
# The benchmark and its peer with the most dependencies have their own environments.
BENCH := .venv-bench
DLT := .venv-dlt
# Airflow's requirements conflict with Luigi's, and the emulator's with the lock.
AIRFLOW := .venv-airflow
BIGQUERY := .venv-bigquery
# A program of Node.js, with the version that is tested.
AZURITE := .venv-azurite
AZURITE_VERSION := 3.35.0
# Fifteen packages and four seconds of imports for one test.
FRICTIONLESS := .venv-frictionless
# The newest supported Python on PATH; `make PYTHON=/path/to/python3.12 run` chooses another.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -E -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

PIP := -m pip --quiet --disable-pip-version-check
OURS := $(PIP) install --no-deps --no-build-isolation --editable .
# Install a lock into an environment. A lock names every package, so nothing is resolved: a resolver
# could trip over a release that is newer than the lock. `pip check` then finds what is missing.
define install
$(1)/bin/python $(PIP) install --no-deps --require-hashes -r $(2) && \
	{ broken=$$($(1)/bin/python -m pip check) || { echo "$(2): $$broken" >&2; false; }; }
endef

COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" --quiet

.DEFAULT_GOAL := help
.PHONY: help run years report status verify load copy s3 gs azure bigquery state doctor refresh clean-snapshots test test-airflow test-bigquery test-azure crash mutants audit image bench bench-short check format simulate state-demo dictionary picture lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Without YEAR it is empty, and the command takes the school year of today.
run: one-year $(VENV)/.run ## Fetch what is missing and publish the tables, of today's school year or: make run YEAR=23-24
	@$(BIN)/luigi --module pipeline RunAll --year "$(YEAR)" $(ARGS)

years: need-years $(VENV)/.run ## Publish several years and all together: make years YEARS="22-23 23-24"
	@$(BIN)/luigi --module pipeline RunYears --years "$(YEARS)" $(ARGS)

status: one-year $(VENV)/.run ## Show what is done, missing, failed and published: make status YEAR=23-24, or YEAR=all
	@$(BIN)/python -m pipeline status --year "$(YEAR)"

report: one-year $(VENV)/.run ## Rebuild the report: make report YEAR=23-24
	@$(BIN)/python -m pipeline report --year "$(YEAR)"

verify: one-year $(VENV)/.run ## Verify every checksum and row count, offline: make verify YEAR=23-24, or YEAR=all
	@$(BIN)/python -m pipeline verify --year "$(YEAR)"

load: one-year $(VENV)/.run ## Load the published tables into a database: make load YEAR=23-24, or YEAR=all
	@$(BIN)/luigi --module pipeline LoadYear --year "$(YEAR)"

copy: one-year $(VENV)/.run ## Copy the published files to [paths] copy_to: make copy YEAR=23-24, or YEAR=all
	@$(BIN)/luigi --module pipeline CopyYear --year "$(YEAR)"

s3: $(VENV)/.run ## Install S3 support for `make copy`
	@$(call install,$(VENV),requirements/$@.txt)

gs: $(VENV)/.run ## Install Google Cloud support for `make copy`
	@$(call install,$(VENV),requirements/$@.txt)

azure: $(VENV)/.run ## Install Azure support for `make copy`
	@$(call install,$(VENV),requirements/$@.txt)

bigquery: $(VENV)/.run ## Install BigQuery support for `make load`
	@$(call install,$(VENV),requirements/$@.txt)

state: $(VENV)/.run ## Install what publishes the tables of many districts together
	@$(call install,$(VENV),requirements/$@.txt)

refresh: one-year $(VENV)/.run ## Remove the snapshot and fetch everything again: make refresh YEAR=23-24
	@$(BIN)/python -m pipeline forget --year "$(YEAR)"
	@$(MAKE) --no-print-directory run YEAR="$(YEAR)"

clean-snapshots: one-year $(VENV)/.run ## Remove all snapshots but the published ones, of all years or: make clean-snapshots YEAR=23-24
	@$(BIN)/python -m pipeline clean-snapshots --year "$(YEAR)"

doctor: one-year $(VENV)/.run ## Try all that a run needs, one line each: make doctor YEAR=23-24
	@$(BIN)/python -m pipeline doctor --year "$(YEAR)"

simulate: $(VENV)/.run ## Serve the demo district on port 8080, or: make simulate PORT=8081
	@$(BIN)/python -m pipeline simulate --port "$(or $(PORT),8080)"

state-demo: one-year state ## Run three made-up districts on this machine (half a minute)
	@$(BIN)/python -m pipeline state demo --year "$(or $(YEAR),23-24)"

test: $(VENV)/.test ## Check format, lint and types, and run every test
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-airflow: $(AIRFLOW)/.ready state ## Load dags/ into Airflow and run those without Docker (three minutes)
	@$(AIRFLOW)/bin/python tests/airflow_dags.py

test-bigquery: $(BIGQUERY)/.ready $(VENV)/.test ## Load tables into an emulator of BigQuery (a minute or two)
	@BIGQUERY_EMULATOR=$(abspath $(BIGQUERY))/bin/python $(BIN)/python -m pytest -q -n auto -k bigquery \
		tests/databases tests/functional/test_load.py $(ARGS)

test-azure: $(AZURITE)/.ready $(VENV)/.test ## Copy published files into an emulator of Azure (needs npm; a minute)
	@AZURITE=$(abspath $(AZURITE))/node_modules/.bin/azurite-blob $(BIN)/python -m pytest -q \
		tests/copies/test_azure.py $(ARGS)

crash: $(VENV)/.test ## Run 200 kills and twenty rounds of power cuts (a quarter of an hour)
	@KILLS=200 $(BIN)/python -m pytest -q tests/crash/test_kill_nine.py
	@CRASH_ROUNDS=20 $(BIN)/python -m pytest -q tests/crash/test_power_cut.py

mutants: $(VENV)/.test ## Break the code line by line and check that a test fails each time (up to an hour)
	@$(BIN)/python tests/mutants.py

audit: $(AUDIT)/.tools $(VENV)/.run ## Check vulnerabilities, licences and secrets; write a bill of materials (needs the network)
	@$(AUDIT)/bin/python tests/audit.py

bench: $(BENCH)/.ready $(DLT)/.ready ## Measure against what people would use instead: make bench ARGS="tables nights"
	@$(BENCH)/bin/python -m benchmarks $(ARGS)

bench-short: $(BENCH)/.ready ## Run every section of the benchmark with tiny work (two minutes)
	@$(BENCH)/bin/python -m benchmarks --short $(ARGS)

image: $(VENV)/.test ## Build the container image and run it (Docker, or root with buildah and runc)
	@$(BIN)/python tests/image.py

check: $(VENV)/.test ## Check format, lint, imports and types
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@out=$$($(BIN)/lint-imports --no-cache) || { echo "$$out"; false; }

format: $(VENV)/.test ## Format the code and fix what lint can fix
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

dictionary: $(VENV)/.run ## Rebuild docs/data-dictionary.md from pipeline/schema.py
	@$(BIN)/python -m pipeline dictionary > docs/data-dictionary.md

picture: $(VENV)/.run ## Draw docs/report.png, the picture in the README, again (needs chromium)
	@$(MAKE) --no-print-directory run YEAR=23-24
	@chromium --headless --no-sandbox --hide-scrollbars --window-size=1000,1040 \
		--screenshot=docs/report.png "file://$(abspath data/demo/reports/23-24.html)" 2>/dev/null

lock: ## Update the locks (for maintainers; needs uv)
	$(COMPILE) pyproject.toml --extra build --upgrade -o requirements.txt
	$(COMPILE) pyproject.toml --extra build --extra s3 --extra gs --extra azure --extra bigquery --extra state --extra dev -c requirements.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra build --extra s3 -c requirements/dev.txt -o requirements/s3.txt
	$(COMPILE) pyproject.toml --extra build --extra gs -c requirements/dev.txt -o requirements/gs.txt
	$(COMPILE) pyproject.toml --extra build --extra azure -c requirements/dev.txt -o requirements/azure.txt
	$(COMPILE) pyproject.toml --extra build --extra bigquery -c requirements/dev.txt -o requirements/bigquery.txt
	$(COMPILE) pyproject.toml --extra build --extra state -c requirements/dev.txt -o requirements/state.txt
	$(COMPILE) --group audit --upgrade -c requirements/dev.txt -o requirements/audit.txt
	$(COMPILE) pyproject.toml --extra build --extra bench --extra state -c requirements/dev.txt -o requirements/bench.txt
	$(COMPILE) --group dlt --upgrade -o requirements/dlt.txt
	$(COMPILE) --group airflow --upgrade -o requirements/airflow.txt
	$(COMPILE) --group frictionless -c requirements/dev.txt -o requirements/frictionless.txt
	$(COMPILE) --group bigquery-emulator --upgrade -o requirements/bigquery-emulator.txt

clean: ## Remove virtual environments, caches, build/ and the benchmark's work; data stays
	rm -rf $(VENV) $(AUDIT) $(BENCH) $(DLT) $(AIRFLOW) $(FRICTIONLESS) $(BIGQUERY) $(AZURITE) .bench build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* htmlcov
	find pipeline tests benchmarks dags -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: need-years one-year
need-years:
	@[ -n "$(YEARS)" ] || { echo "Which school years? Type, for example: make $(firstword $(MAKECMDGOALS)) YEARS=\"22-23 23-24 24-25\"" >&2; exit 2; }

# Where it is given by another name, the year of today would be taken.
one-year:
	@[ -z "$(filter command,$(origin YEARS) $(origin years) $(origin year))" ] || { \
		echo "A school year is given in capitals, like YEAR=23-24, and several are published by: make years YEARS=\"22-23 23-24\"" >&2; exit 2; }

ENVIRONMENTS := $(VENV)/bin/python $(BENCH)/bin/python $(DLT)/bin/python $(VENV)/.run $(VENV)/.test \
	$(AUDIT)/.tools $(AIRFLOW)/.ready $(FRICTIONLESS)/.ready $(AZURITE)/.ready $(BIGQUERY)/.ready \
	$(BENCH)/.ready $(DLT)/.ready

# What each is made from.
$(VENV)/.run: requirements.txt pyproject.toml | $(VENV)/bin/python
$(VENV)/.test: requirements/dev.txt $(VENV)/.run
$(AUDIT)/.tools: requirements/audit.txt | $(VENV)/bin/python
$(AIRFLOW)/.ready: requirements/airflow.txt | $(VENV)/bin/python
$(FRICTIONLESS)/.ready: requirements/frictionless.txt | $(VENV)/bin/python
$(AZURITE)/.ready: Makefile
$(BIGQUERY)/.ready: requirements/bigquery-emulator.txt | $(VENV)/bin/python
$(BENCH)/.ready: requirements/bench.txt pyproject.toml | $(BENCH)/bin/python
$(DLT)/.ready: requirements/dlt.txt | $(DLT)/bin/python

ifndef ALONE
# One make at a time sets up environments. Another one waits here, for a lock that ends with its holder,
# and then finds them ready. macOS has no flock command, but every Python has the call.
define LOCKED
import fcntl, os, sys
with open("Makefile") as makefile:
    try:
        fcntl.flock(makefile, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another make is setting up an environment here; this one waits for it.", file=sys.stderr, flush=True)
        fcntl.flock(makefile, fcntl.LOCK_EX)
    except OSError:
        pass
    os.set_inheritable(makefile.fileno(), True)
    os.execvp(sys.argv[1], sys.argv[1:])
endef
$(ENVIRONMENTS): export LOCKED := $(LOCKED)

$(ENVIRONMENTS):
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11, 3.12 or 3.13 was found on PATH; install one, or run make PYTHON=/path/to/python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c "$$LOCKED" $(MAKE) --no-print-directory --silent ALONE=1 $@
else
# What is replaced must be ours and broken: not another user's, nor what we may only not run (126).
$(VENV)/bin/python $(BENCH)/bin/python $(DLT)/bin/python:
	@$@ -c "" 2>/dev/null; [ $$? -ne 126 ] && { [ ! -e $(@:/bin/python=) ] || [ -O $(@:/bin/python=) ]; } || { \
		echo "User $$(id -u) may not run $@, or does not own $(@:/bin/python=), which was left as it is: correct its owner and permissions, or remove it, then run the same command again." >&2; exit 2; }
	@echo "Setting up the environment in $(@:/bin/python=) (once)..."
	@$(PYTHON) -m venv $(@:/bin/python=) >&2 || { \
		[ ! -x $@ ] || $@ -m ensurepip >/dev/null; rm -rf $(@:/bin/python=); \
		echo "$(PYTHON) could not create $(@:/bin/python=); the reason is above. On Debian and Ubuntu, python3-venv is often missing: apt-get install python3-venv. Then run the same command again." >&2; exit 2; }

$(VENV)/.run:
	@$(call install,$(VENV),requirements.txt)
	@$(BIN)/python $(OURS)
	@touch $@

$(VENV)/.test:
	@$(call install,$(VENV),requirements/dev.txt)
	@touch $@

# Created by the Python of $(VENV): which lines of a lock apply depends on its version.
$(AUDIT)/.tools $(AIRFLOW)/.ready $(FRICTIONLESS)/.ready $(BIGQUERY)/.ready:
	@$(BIN)/python -m venv $(@D)
	@$(call install,$(@D),$<)
	@touch $@

$(AZURITE)/.ready:
	@command -v npm >/dev/null || { echo "Azurite is a program of Node.js: install npm, then run this again." >&2; exit 2; }
	@npm install --silent --no-audit --no-fund --prefix $(AZURITE) azurite@$(AZURITE_VERSION)
	@touch $@

$(BENCH)/.ready:
	@$(call install,$(BENCH),requirements/bench.txt)
	@$(BENCH)/bin/python $(OURS)
	@touch $@

$(DLT)/.ready:
	@if $(call install,$(DLT),$<); then touch $@; \
		else rm -rf $(DLT); echo "dlt could not be installed; the benchmark runs without it." >&2; fi
endif
