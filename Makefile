# make run         from a fresh machine to a finished report on the built-in sample corpus
# make test        the same set-up, then the tests, two at a time
# make test-all    every test: also cluster, faults, every setting, hostile inputs, the commands of the documentation
# make test-slurm  the tests on a SLURM cluster of two nodes, which is started on this machine
# make faults      kill every rule and the controller at random moments, and every test of faults; about an hour
# make fuzz        coverage-guided fuzzing of what reads recordings, names, results, bundles and encoders; SECONDS=60 for each of five targets
# make docs        the documentation site, in site/
# make bench       the notebook's stages and serflow's side by side, then trainings; BENCH=--full adds the full size of the corpus
VENV := .venv
BIN := $(VENV)/bin
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: env env-encoders run test test-all test-slurm faults fuzz docs lint bench bench-scale bench-slurm clean

env: $(VENV)/installed

$(VENV)/installed: envs/requirements.txt envs/requirements-demo.txt envs/requirements-dev.txt \
    envs/requirements-docs.txt pyproject.toml
	python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "serflow needs Python 3.11, 3.12 or 3.13")'
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(foreach file,$(filter %.txt,$^),-r $(file))
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# Of the tests of exported encoders alone; users install the file into the environment that they have.
env-encoders: .venv-encoders/installed

.venv-encoders/installed: envs/requirements-encoders.txt
	test -x .venv-encoders/bin/python || python3 -m venv .venv-encoders
	.venv-encoders/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

run: env
	snakemake --cores $(CORES)
	@echo "The report is results/sample/report/all/index.html"

PYTEST := $(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder --durations 20

test: env lint
	$(PYTEST) -m "not extended"

test-all: env env-encoders lint
	SERFLOW_FAULTS=all $(PYTEST)

test-slurm: env
	$(BIN)/python -m pytest tests/slurm

faults: env
	SERFLOW_FAULTS=all $(BIN)/python -m pytest tests/faults
	$(BIN)/python tests/faults/harness.py $(FAULTS)

# Atheris has wheels for Linux and some Python versions only, so it is not part of the environment.
SECONDS ?= 60
fuzz: env
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris==3.0.0
	for target in audio catalog results bundle encoder; do \
	    $(BIN)/python tests/fuzz/fuzz.py $$target -max_total_time=$(SECONDS) -verbosity=0 -artifact_prefix=results/ || exit 1; done

lint: env
	ruff check .
	ruff format --check .
	lint-imports
	snakefmt --check Snakefile workflow
	snakemake --lint

docs: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: env
	$(BIN)/python tests/bench/features.py $(BENCH)
	$(BIN)/python tests/bench/training.py

bench-slurm: env
	$(BIN)/python tests/bench/cluster.py

bench-scale: env
	$(BIN)/python tests/bench/scale.py $(BENCH)

clean:
	rm -rf results/* .snakemake
	git checkout -- results
