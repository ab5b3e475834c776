# `make demo` and `make test` need Python 3.11+ and make, nothing else: they build .venv themselves.
# `make test-lowest` builds .venv-lowest: every direct dependency in the lowest version that pyproject.toml admits.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread per process: the order of additions, and so every number, depends on the count of threads.
export OMP_NUM_THREADS = 1
export MKL_NUM_THREADS = 1
export TOKENIZERS_PARALLELISM = false

LOWEST := .venv-lowest
# The tests that touch most of what we ask of each dependency, in few minutes.
LOWEST_TESTS := lowest_versions.py cli/test_studies.py encoders/test_hub.py encoders/test_loading.py integrations/test_trainer_saving.py \
	language/test_tokenizer.py comparison/test_compare_files.py comparison/test_report.py stabilizers/test_lora.py \
	statistics/test_across.py statistics/test_components.py instability/test_disagreement.py statistics/test_level.py \
	studies/test_store.py suites/test_file.py tasks/test_files.py tasks/test_glue.py tasks/test_metrics.py \
	theory/test_minimiser.py

.PHONY: demo test test-lowest test-slow lint types format bench bench-gpu clean

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/stabilitybench run examples/quickstart.toml

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/numpydoc lint $$(find src -name '*.py')
	$(BIN)/lint-imports

types: $(VENV)/.installed
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest tests src/stabilitybench --doctest-modules -m "not slow" -n 2 --dist loadfile

# uv leaves the torch that is installed already alone.  What the dependencies depend on is as new as on one day, so that
# no release turns the tests red; a bound that was lowered since must not meet what it was before (--clear).
$(LOWEST)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: Python 3.11 is needed, the lowest: make test-lowest PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt torch uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct --exclude-newer 2026-11-21 -e '.[dev]'
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct --exclude-newer 2026-11-21 --dry-run '.[dask,ray]'
	@touch $@

# Old releases use what newer ones have deprecated, so their warnings are shown, not raised.
test-lowest: $(LOWEST)/.installed
	$(LOWEST)/bin/python -m pytest $(addprefix tests/,$(LOWEST_TESTS)) -m "not slow" -n 2 --dist loadfile -W default::DeprecationWarning

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

bench: $(VENV)/.installed
	$(BIN)/python -m pytest benchmarks -s --benchmark-enable --benchmark-only

# Needs a CUDA device; some minutes, no download.
bench-gpu: $(VENV)/.installed
	$(BIN)/python benchmarks/gpu.py --check

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(LOWEST) build dist
