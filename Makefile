# Everything that a person or a machine does with a checkout. Needs make and Python 3.11 or newer.
# A stamp file says that the environment is complete, so that a second call is quick.

VENV := .venv
BIN := $(VENV)/bin
MINUTES ?= 10
LIVES ?= 50
QUEUES ?= 5000
EXAMPLES ?= 100
ROWS ?= 20
TASKS ?= 1000
SCENARIO ?= all
SIZE ?= short
# The newest Python that is installed and new enough; another one with: make PYTHON=/path/to/python demo
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$name; break; fi; done)
PART ?=
APT := bubblewrap chromium dbus e2fsprogs faketime git socat strace
BENCH_APT := nq redis-server task-spooler
# Its programs alone: no cluster is made and no server is started. An installed one is left as it is.
NO_CLUSTER := /etc/postgresql-common/createcluster.d/task-queue.conf
INSTALL_POSTGRESQL := { mkdir -p $(dir $(NO_CLUSTER)) && echo 'create_main_cluster = false' >$(NO_CLUSTER) && \
	apt-get install -y -qq --no-install-recommends postgresql; code=$$?; rm -f $(NO_CLUSTER); exit $$code; }
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo install test lint types unit spine apt docs picture screens proof-systemd proof proof-crash proof-second proof-faults proof-power proof-mutations proof-stateful proof-order proof-claims proof-fleet proof-security proof-api fleet-demo soak night bench bench-docs bench-apt clean

help:
	@echo 'make demo              the whole pipeline in a scratch folder, without an account'
	@echo 'make test              lint, types, import rules, tests'
	@echo 'make install           task-queue in $(VENV)/bin'
	@echo 'make lint types unit   the parts of make test'
	@echo 'make spine             how many lines lead from a drop to its result'
	@echo 'make docs              write the generated tables and docs/schemas again'
	@echo 'make picture           play the demo and write docs/picture.svg again'
	@echo 'make screens           play the demo and take the pictures of docs/screens again'
	@echo 'make proof-crash       kill it at every step, and look'
	@echo 'make proof             the same, and recovery killed, calls that fail, power cuts, mutations'
	@echo 'make proof-systemd     a real user service: crash, hang, stop, restart'
	@echo 'make proof-stateful LIVES=50   random lives of a queue with the real daemon, against a model'
	@echo 'make proof-order QUEUES=5000   random queues: what is said to be next is what runs'
	@echo 'make proof-claims TASKS=1000   32 workers, leases that end, kills of the API: nothing given twice or lost'
	@echo 'make proof-fleet SCENARIO=kill   three hosts on PostgreSQL; one killed or frozen, the database away: nothing doubled or lost'
	@echo 'make proof-security    each attack of docs/security.md, as a user without privileges and against another'
	@echo 'make proof-api EXAMPLES=100   requests made from the OpenAPI document, right and wrong ones'
	@echo 'make fleet-demo        three hosts of a fleet on this machine, one of them killed, without an account'
	@echo 'make soak MINUTES=10   random kills under load'
	@echo 'make night ROWS=20     a night in one repository with tests, three tasks a row'
	@echo 'make bench SIZE=short PART="peers idle"   against its peers, the limit and the goals; SIZE=full takes hours'
	@echo 'make bench-docs        write the tables and pictures of what make bench found into docs/'
	@echo 'make bench-apt         Debian packages of the peers (as root); none of their services is started'
	@echo 'make apt               Debian packages that some tests need (as root)'
	@echo 'make clean             remove $(VENV) and the caches'

demo: $(VENV)/.installed
	@$(BIN)/task-queue demo

install: $(VENV)/.installed
	@echo 'installed: $(BIN)/task-queue'

test: lint types unit spine

lint: $(VENV)/.complete
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(VENV)/.complete
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

unit: $(VENV)/.complete
	$(BIN)/python -m pytest -n 3 --dist worksteal

spine: $(VENV)/.complete
	@$(BIN)/python -m tests.house.spine

docs: $(VENV)/.complete
	$(BIN)/python -m task_queue.schemas
	$(BIN)/python -m tests.house.tables

picture: $(VENV)/.complete
	$(BIN)/python -m tests.house.picture

screens: $(VENV)/.complete
	$(BIN)/python -m tests.house.screens

proof-systemd: $(VENV)/.complete
	$(BIN)/python -m tests.systemd.prove --daemon real

proof-crash: $(VENV)/.complete
	$(BIN)/python -m tests.proof.crash_points

proof: proof-crash proof-second proof-faults proof-power proof-mutations proof-stateful proof-order proof-claims proof-security proof-api

proof-second: $(VENV)/.complete
	$(BIN)/python -m tests.proof.crash_points --scenario once --every 4 --second 3

proof-faults: $(VENV)/.complete
	$(BIN)/python -m tests.proof.faults

proof-power: $(VENV)/.complete
	$(BIN)/python -m tests.proof.power_cut

proof-mutations: $(VENV)/.complete
	$(BIN)/python -m tests.proof.mutations

proof-stateful: $(VENV)/.complete
	TASK_QUEUE_LIVES=$(LIVES) $(BIN)/python -m pytest -q -n 2 tests/stateful/test_daemon_machine.py

proof-security: $(VENV)/.complete
	$(BIN)/python -m tests.proof.security

proof-api: $(VENV)/.complete
	TASK_QUEUE_API_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -q --timeout 3600 tests/api/test_schema.py

proof-order: $(VENV)/.complete
	TASK_QUEUE_QUEUES=$(QUEUES) $(BIN)/python -m pytest -q tests/store/test_order_told.py

proof-claims: $(VENV)/.complete
	$(BIN)/python -m tests.proof.claims --tasks $(TASKS)

proof-fleet: $(VENV)/.complete
	$(BIN)/python -m tests.proof.fleet --scenario $(SCENARIO)
	$(BIN)/python -m tests.proof.fleet_claims

fleet-demo: $(VENV)/.complete
	@$(BIN)/python -m tests.fleet.demo

soak: $(VENV)/.complete
	$(BIN)/python -m tests.proof.soak --minutes $(MINUTES)

night: $(VENV)/.complete
	TASK_QUEUE_NIGHT_ROWS=$(ROWS) $(BIN)/python -m pytest -q tests/acceptance/test_repository_night.py

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks --size $(SIZE) $(addprefix --part ,$(PART))

bench-docs: $(VENV)/.complete
	$(BIN)/python -m benchmarks.docs

bench-apt:
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(BENCH_APT)

apt:
	@if [ "$$(id -u)" != 0 ]; then \
		echo 'not root: install them yourself, or the tests that need them skip: $(APT) postgresql'; \
	elif ! command -v apt-get >/dev/null; then \
		echo 'no apt-get here; the tests that need one of these skip: $(APT) postgresql'; \
	else \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $(APT) && \
		{ ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || $(INSTALL_POSTGRESQL); }; \
	fi

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage build dist *.egg-info

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo 'Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python'; exit 1; fi
	@echo 'making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo 'installing task-queue and what it needs into $(VENV); the agent alone is 70 MB'
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.complete: pyproject.toml | $(BIN)/python
	@echo 'installing task-queue and the tools for its tests into $(VENV)'
	@$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed $@

# A peer that cannot be installed is skipped with its reason.
$(VENV)/.bench: $(VENV)/.complete
	-$(INSTALL) --editable '.[bench]'
	@touch $@
