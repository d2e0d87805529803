# Every target sets up what it needs in .venv, from a bare Python (3.10 or newer) with its venv module.

PYTHON ?= python3
CONSTRAINTS := constraints.txt
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --quiet --constraint $(CONSTRAINTS)
SETUP := pyproject.toml $(CONSTRAINTS)

.PHONY: help demo test lint bench docs fuzz constraints clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: .venv/.run  ## anonymize the fixtures and show what changed
	@$(BIN)/python fixtures/demo.py

test: .venv/.dev .venv/.tools  ## run every test, and measure which lines they reach
	$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS)

lint: .venv/.dev  ## check style, types, who imports whom, and that the reference pages are up to date
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

bench: .venv/.bench build/.dp-peers  ## measure pydp beside other tools and the physical limit
	$(BIN)/python benchmarks/run.py $(ARGS)
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/cells.py
	$(BIN)/python benchmarks/subject_keys.py
	$(BIN)/python benchmarks/whole_file.py
	$(BIN)/python benchmarks/rotation.py
	$(BIN)/python benchmarks/rights.py
	$(BIN)/python benchmarks/erasing.py
	$(BIN)/python benchmarks/dp.py
	$(BIN)/python benchmarks/dp_error.py

docs: .venv/.dev  ## build the documentation in site/
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

fuzz: .venv/.dev  ## run the property tests with many more examples
	$(BIN)/python -m pytest -n auto --hypothesis-profile=nightly $(ARGS)

constraints: .venv/.run  ## pin the newest versions that pyproject.toml allows
	rm -rf build/pins && $(PYTHON) -m venv build/pins
	build/pins/bin/python -m pip install --quiet --upgrade pip "setuptools>=77"
	build/pins/bin/python -m pip install --quiet --no-build-isolation --editable . --group dev --group bench
	{ sed '/^[^#]/d' $(CONSTRAINTS); \
	  build/pins/bin/python -m pip list --format=freeze --exclude-editable | tr 'A-Z_' 'a-z-' | LC_ALL=C sort; \
	} > build/$(CONSTRAINTS) && mv build/$(CONSTRAINTS) $(CONSTRAINTS)

clean:  ## remove everything that the targets made
	rm -rf .venv build dist site htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache benchmarks/data *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# Stamps: what is installed in .venv. Each is made again when a requirement or a pinned version changes.

.venv/.pip: $(CONSTRAINTS)
	$(PYTHON) -m venv .venv
	$(PIP) pip setuptools
	@touch $@

.venv/.run: .venv/.pip $(SETUP)
	$(PIP) --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.run
	$(PIP) --group dev
	@touch $@

# Programs that some tests run beside ours; where they are not here and cannot be installed, those tests say so and skip.
.venv/.tools: .venv/.pip
	@for tool in strace age; do \
	  command -v $$tool > /dev/null || timeout 180 apt-get install -y -qq $$tool > /dev/null 2>&1 || echo "no $$tool here"; \
	done
	@touch $@

.venv/.bench: .venv/.run
	$(PIP) --group bench
	@touch $@

# OpenDP reads plans of one version of Polars only, so what dp-stats is measured beside has a place of its own.
build/.dp-peers:
	$(PYTHON) -m venv build/dp-peers
	build/dp-peers/bin/python -m pip install --quiet "opendp[polars]==0.16.0" "pipeline-dp==0.3.1" \
	  || echo "opendp and pipelinedp cannot be installed here: dp.py leaves them out"
	@touch $@
