# `make figures` and `make test` set everything up by themselves. Inside an environment that has lfcore already (conda,
# or a virtual environment) that one is used; otherwise .venv is made here.
PROFILE ?= digits
CORES ?= 4
ENV := .venv
ACTIVE := $(shell python -c "import importlib.metadata as m, sys; m.version('lfcore'); m.version('snakemake'); print(sys.executable)" 2>/dev/null)
# quoted, since the folder's path may have a space
PYTHON := "$(or $(ACTIVE),$(ENV)/bin/python)"
READY := $(if $(ACTIVE),,$(ENV)/ready)
SNAKEMAKE = $(PYTHON) -m snakemake --cores $(CORES)

STUDY ?=
BUNDLE ?=
SLURM ?=
PART ?=
ISA ?=

.PHONY: figures ablations tune site test browser lint render expected constraints bench bench-loop bundle restore
.PHONY: verify faults fuzz bench-dag bench-rows bench-precision bench-variants slurm

figures: $(READY) ## every figure and table of PROFILE, then whether they are the published ones
	@test -f config/$(PROFILE).yaml || { echo "There is no config/$(PROFILE).yaml: choose a PROFILE from config/."; exit 1; }
	@$(PYTHON) -m lfcore.workflow.jobs
	@$(SNAKEMAKE) --configfile config/$(PROFILE).yaml
	@$(PYTHON) -m lfcore.publish.expected $(PROFILE)

ablations: $(READY) ## every study of config/studies.yaml, or only STUDY
	@$(PYTHON) -m lfcore.workflow.jobs
	@$(SNAKEMAKE) $(or $(STUDY),ablations) --configfile config/$(PROFILE).yaml

tune: $(READY) ## every setting of every method's grid, and whether the choices are the published ones
	@$(PYTHON) -m lfcore.workflow.jobs
	@$(SNAKEMAKE) tuning --configfile config/$(PROFILE).yaml
	@$(PYTHON) -m lfcore.publish.expected $(PROFILE)-tuning

site: $(READY) ## the figures, tables and notebooks of PROFILE as pages to read without network
	@test -f config/$(PROFILE).yaml || { echo "There is no config/$(PROFILE).yaml: choose a PROFILE from config/."; exit 1; }
	@$(PYTHON) -m lfcore.workflow.jobs
	@$(SNAKEMAKE) site --configfile config/$(PROFILE).yaml
	@echo "Open results/$(PROFILE)/site/index.html."

test: $(READY) lint ## everything that CI runs
	$(PYTHON) -m pytest

browser: $(READY) ## the notebooks to play with in JupyterLab, and the sites that are there, in headless Chromium
	$(PYTHON) -m pytest -m browser

lint: $(READY)
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m snakefmt --check Snakefile rules
	$(PYTHON) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

render: $(READY) ## execute the notebooks with their own defaults, for people who read them on the web
	$(PYTHON) -m jupytext --to ipynb --execute notebooks/*.py

expected: $(READY) ## publish the numbers and pictures of PROFILE, or of PROFILE-study, as the expected ones
	$(PYTHON) -m lfcore.publish.expected --write $(PROFILE)

constraints: ## refresh the pins of every package; needs uv
	(sed -n 1p constraints.txt; uv pip compile pyproject.toml --extra dev --extra slurm --upgrade --python-version 3.11 --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links | sed 's/+cpu$$//') > constraints.new
	mv constraints.new constraints.txt

bench: $(READY) ## what everything costs, as ratios, into tests/expected/bench.csv; PART=4 for one part of it
	$(PYTHON) tests/bench.py $(PART)

verify: $(READY) ## whether two clean runs of PROFILE leave the same bytes; ISA=1: the same numbers by other instructions
	@$(PYTHON) -m lfcore.publish.$(if $(ISA),instructions,verify) $(PROFILE)

faults: $(READY) ## kill, fill, damage, starve and lock the workflow; writes tests/expected/faults.csv
	@$(PYTHON) tests/faults.py

slurm: $(READY) ## PROFILE on a SLURM of one node that this starts, as root; SLURM=--install gets it by apt-get
	@$(PYTHON) -c "import snakemake_executor_plugin_slurm" 2>/dev/null || \
		$(PYTHON) -m pip install --quiet --constraint constraints.txt --editable '.[slurm]'
	@$(PYTHON) tests/slurm.py $(SLURM) $(PROFILE)

fuzz: $(READY) ## 10,000 inputs for the loaders and the config
	FUZZ=10000 $(PYTHON) -m pytest -q tests/test_fuzz.py

bench-precision: $(READY) ## whether bf16 changes what PROFILE finds; PROFILE=cifar20 takes half an hour on two cores
	$(PYTHON) tests/bench_precision.py $(PROFILE)

bench-variants: $(READY) ## what the codes' variants of SCRUB and AMUN do on digits; needs its originals
	$(PYTHON) tests/bench_variants.py

bench-loop: $(READY) ## ResNet-56 by the paper's DataLoader loop and by ours, images per second
	$(PYTHON) tests/bench_loop.py

bench-dag: $(READY) ## where the time of a dry run goes, on five thousand jobs; writes tests/expected/dag.csv
	$(PYTHON) tests/bench_dag.py

bench-rows: $(READY) ## memory to read and draw a hundred million rows; writes tests/expected/rows.csv
	$(PYTHON) tests/bench_rows.py

bundle: $(READY) ## what PROFILE found, in a few small files: bundles/PROFILE; BUNDLE=--models for models too
	@$(PYTHON) -m lfcore.publish.bundle make $(PROFILE) $(BUNDLE)

restore: $(READY) ## put bundles/PROFILE back, so that only its figures are left to make
	@$(PYTHON) -m lfcore.publish.bundle restore $(PROFILE)

$(ENV)/ready: pyproject.toml constraints.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lfcore needs Python 3.11 or newer, not " + sys.version.split()[0])'
	python3 -m venv $(ENV)
	$(ENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
