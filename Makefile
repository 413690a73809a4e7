# `make demo` compresses GloVe 6B 50d; `make test` runs the tests and the lint.
# Both set up .venv on their first run and reuse it afterwards. `make test-avx2` runs the compiled
# kernels' tests as they are for a processor with AVX2 and no AVX-512. `make test-long` runs for
# hours: it kills commands, has their calls fail, gives the readers a hundred thousand damaged inputs
# of each kind, and looks for growth (docs/reliability.md). `make test-bridges` installs the
# libraries that a compressed embedding has bridges to and that open models (PyTorch, transformers,
# sentence-transformers, model2vec, faiss, gensim, fastText and others: 2 GB) and those that large
# tables are read and shared out with (Zarr, fsspec, Dask, MPI), and runs the tests that need them.
# `make docs` builds the documentation site, in site/, and fails on a warning.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS := .venv-docs
DOCS_INSTALLED := $(DOCS)/.installed

.PHONY: demo test test-avx2 test-long test-bridges lint setup dist docs tutorials test-tutorials clean

demo: $(INSTALLED)
	$(BIN)/python scripts/fetch_vectors.py glove.6B.50d
	$(BIN)/python scripts/demo.py

test: $(INSTALLED) lint
	$(BIN)/python -m pytest -n 2

# Kernels as they are for processors without AVX-512, on one that has AVX2.
test-avx2: $(INSTALLED)
	NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= $(BIN)/python -m pytest -n 2 \
		tests/cpu tests/autoencoder/test_fused.py tests/refinement/test_refine.py \
		tests/refinement/test_encoding.py

test-long: $(INSTALLED)
	$(BIN)/python -m pytest -m long tests/reliability -n 2

test-bridges: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --no-build-isolation --use-pep517 ".[bench,hf,mpi,scale]" mpich
	$(BIN)/python -m pytest -n 2 tests/test_base_install.py tests/cli/test_nncompress.py \
		$$(grep -rlE "importorskip|in_gensim|keyed" tests --include="test_*.py")

# Executes docs/tutorials/*.ipynb anew and keeps their outputs, in about ten minutes.
tutorials: $(VENV)/.tutorials
	$(BIN)/python scripts/execute_tutorials.py

# Executes them anew and keeps nothing.
test-tutorials: $(VENV)/.tutorials
	$(BIN)/python -m pytest -m long tests/test_tutorials.py

$(VENV)/.tutorials: $(INSTALLED) pyproject.toml
	$(BIN)/python -m pip install --quiet --no-build-isolation --use-pep517 ".[tutorials]"
	$(BIN)/python scripts/fetch_vectors.py glove.6B.50d
	touch $@

lint: $(INSTALLED)
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy

setup: $(INSTALLED)

# The wheel is built from the source distribution.
dist: $(INSTALLED)
	$(BIN)/python -m pip install --quiet build twine
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

# The documentation site, in site/: a warning fails it. What it is built with has an environment of
# its own, for docstrings are read and not run.
docs: $(DOCS_INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --quiet --strict

$(DOCS_INSTALLED): pyproject.toml
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet ".[docs]"
	touch $@

# Chainer's own build needs a setuptools that still has pkg_resources. Installing that setuptools
# first and building without isolation works with every pip, old or new.
$(INSTALLED): requirements.txt requirements-dev.txt build-constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r build-constraints.txt wheel
	$(BIN)/python -m pip install --progress-bar on --no-build-isolation --use-pep517 \
		-r requirements.txt -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) $(DOCS) site build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
