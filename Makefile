# `make demo` compresses GloVe 6B 50d; `make test` runs the tests and the lint.
# Both set up .venv on their first run and reuse it afterwards. `make test-avx2` runs the compiled
# kernels' tests as they are for a processor with AVX2 and no AVX-512. `make test-long` runs for
# hours: it kills commands, has their calls fail, gives the readers a hundred thousand damaged inputs
# of each kind, and looks for growth (docs/reliability.md). `make test-bridges` installs the
# libraries that a compressed embedding has bridges to and that open models (PyTorch, transformers,
# sentence-transformers, model2vec, faiss, gensim, fastText and others: 2 GB) and those that large
# tables are read and shared out with (Zarr, fsspec, Dask, MPI), and runs the tests that need them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-avx2 test-long test-bridges lint setup clean

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

lint: $(INSTALLED)
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy

setup: $(INSTALLED)

# Chainer's own build needs a setuptools that still has pkg_resources. Installing that setuptools
# first and building without isolation works with every pip, old or new.
$(INSTALLED): requirements.txt requirements-dev.txt build-constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r build-constraints.txt wheel
	$(BIN)/python -m pip install --progress-bar on --no-build-isolation --use-pep517 \
		-r requirements.txt -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
