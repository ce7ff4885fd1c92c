# Every command sets up what it needs: a machine with Python 3.11, make and git is enough.
PYTHON ?= python3.11
UV     := uv==0.13.9
VENV   := .venv
READY  := $(VENV)/.ready
RUN    := $(VENV)/bin/python -m include
DATA   ?= data
PORT   ?= 8080
export PYTHONPATH := $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help demo run check plan replay ui test faults lint audit bench report docs clean

help: ## what can be done
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

demo: $(READY) ## set up everything and run the whole pipeline once on the demo data
	@$(RUN) demo --data "$(DATA)" $(if $(DATE),--date "$(DATE)")

run: $(READY) ## run your own channels: make run CONFIG=dir DATE=yyyy-mm-dd [DATA=dir] [TARGET=duckdb|spark]
	@$(if $(TARGET),TANDEM_TARGET="$(TARGET)") $(RUN) run $(if $(CONFIG),--config "$(CONFIG)") $(if $(DATE),--date "$(DATE)") --data "$(DATA)"

check: $(READY) ## what a run would do, before any: make check CONFIG=dir [DATE=] [DATA=], or FILE=path
	@$(RUN) check $(if $(CONFIG),--config "$(CONFIG)") $(if $(DATE),--date "$(DATE)") $(if $(FILE),--file "$(FILE)") --data "$(DATA)"

plan: $(READY) ## who would merge and split under other identity rules: make plan CONFIG=dir [DATE=] [DATA=]
	@$(RUN) plan $(if $(CONFIG),--config "$(CONFIG)") $(if $(DATE),--date "$(DATE)") --data "$(DATA)"

replay: $(READY) ## land quarantined rows after a fix: make replay CONFIG=dir [CHANNEL=] [DATE=] [DATA=]
	@$(RUN) replay $(if $(CONFIG),--config "$(CONFIG)") $(if $(DATE),--date "$(DATE)") $(if $(CHANNEL),--channel "$(CHANNEL)") --data "$(DATA)"

ui: $(READY) ## the Airflow UI on http://localhost:8080 [CONFIG=dir] [DATA=dir] [PORT=n]
	@$(RUN) ui $(if $(CONFIG),--config "$(CONFIG)") --data "$(DATA)" --port "$(PORT)"

test: $(READY) ## set up everything and run the tests
	@$(VENV)/bin/python -m pytest $(PYTEST)

faults: $(READY) ## do to a run what can go wrong, compare what it publishes, and write docs/reliability.md [KILLS=n] [ONLY=name,...]
	@$(VENV)/bin/python -m tests.faults $(if $(KILLS),--kills $(KILLS)) $(if $(ONLY),--only $(ONLY),--page)

lint: $(READY) ## ruff for Python, sqlfluff for SQL
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/sqlfluff lint --processes 2 --disable-progress-bar dbt_project/models dbt_project/tests

audit: $(READY) ## known vulnerabilities of the packages in the lock; says so when there is no network to ask
	@$(VENV)/bin/python -m tests.audit

bench: $(READY) ## measure against the alternatives and write docs/benchmarks.md [TOPIC=] [SIZE=small|medium|large] [EVENTS=10|100]; CHECK=1: is the pipeline worse than accepted?
	@$(VENV)/bin/python -m include.benchmark $(if $(TOPIC),--topic "$(TOPIC)") $(if $(SIZE),--size "$(SIZE)") $(if $(EVENTS),--events "$(EVENTS)") $(if $(CHECK),--check)

report: $(READY) ## where the report of the current release lies
	@$(RUN) report --data "$(DATA)"

docs: $(READY) ## dbt's pages of every model, column and exposure with the lineage, one file without a network: data/docs/index.html
	@$(VENV)/bin/python -m include.warehouse.pages "$(DATA)"

clean: ## remove the environment, Airflow's home and the demo's data; keys in .secrets stay
	rm -rf $(VENV) .airflow data .pytest_cache .ruff_cache

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  { echo "Tandem needs Python 3.11, and $(PYTHON) is not: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV): 280 packages, about 2 GB, once"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
	@$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(VENV)/bin/python -r requirements.txt
	@touch $@
