# Everything sets itself up first: see scripts/setup.sh.
PYTHON = .venv/bin/python

.PHONY: help setup demo quick test docs bench prove soak lint clean

help:
	@echo "make setup   apt packages and .venv (the others do this by themselves)"
	@echo "make demo    train, quantize, compile, run on four emulated boards, compare, measure"
	@echo "make quick   lint, types, 30 random cases of each operator on this computer and a Cortex-M4"
	@echo "make test    lint, types, all tests"
	@echo "make docs    the pages of docs/ as a site, in build/site"
	@echo "make bench   regenerate benchmarks/results"
	@echo "make prove   Frama-C proves that kernels that changed have no undefined behaviour"
	@echo "make soak    the long tests"
	@echo "make lint    ruff and mypy only"
	@echo "make clean   remove caches and outputs; .venv stays"

setup:
	@scripts/setup.sh

demo: setup
	@$(PYTHON) examples/demo.py

quick: setup
	@scripts/test.sh lint quick

test: setup
	@scripts/test.sh lint pytest

lint: setup
	@scripts/test.sh lint

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet
	@echo "docs: build/site/index.html"

soak: setup
	@$(PYTHON) -m pytest -n 2 -m soak

bench: setup
	@$(PYTHON) benchmarks/run.py

prove: setup
	@$(PYTHON) benchmarks/prove.py

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist demo-out
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
