# trtop: `make` lists what there is. `make run` needs CPython 3.11+, a C compiler and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CAPTURE ?= examples/services.pcap
CHECKED_TREE := build/checked-tree
SANITIZED_TREE := build/sanitized-tree
RACES_TREE := build/races-tree
FUZZ_TREE := build/fuzz-tree
SECONDS ?= 60
ROUNDS ?= 1
MUTANTS ?= 200
SEED ?= 1
HOURS ?= 6
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# cython-lint starts pycodestyle by its name.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Start-up is as fast as after `pip install`, which compiles to bytecode, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=
bytecode = $(BIN)/python -m compileall -q $(1)

KERNEL_SOURCES := $(shell find ext -name '*.pyx' -o -name '*.pxd')
BUILD_SOURCES := $(KERNEL_SOURCES) setup.py pyproject.toml
PACKAGE_SOURCES := $(shell find trtop trtop_core trtop_daemon -name '*.py' -o -name '*.pyi')
CODE := trtop trtop_core trtop_daemon tests docs benchmarks examples fuzz lint packaging setup.py

# What a fresh machine lacks: the first lack as one line, nothing if there is none.
lack = $(shell \
  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
    echo 'trtop: $(PYTHON) is not CPython 3.11 or newer; install one, then: make PYTHON=python3.11 …'; exit; }; \
  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
    echo 'trtop: $(PYTHON) cannot make virtual environments; install them, e.g.: apt-get install python3-venv'; exit; }; \
  $(PYTHON) -c 'import os, shutil, sys, sysconfig; sys.exit(not shutil.which((os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]))' || { \
    echo 'trtop: no C compiler found; install one, e.g.: apt-get install gcc'; exit; }; \
  $(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))' || { \
    echo 'trtop: Python.h is missing; install the headers of Python, e.g.: apt-get install python3-dev'; exit; })
stop_if_lacking = $(if $(strip $(lack)),$(error $(lack)))

# Requirements are listed in pyproject.toml only.
requirements = $(BIN)/python -c 'import tomllib; \
  project = tomllib.load(open("pyproject.toml", "rb")); print(*$(1), sep="\n")'

# What a compiler says is of interest when it fails.
quietly = mkdir -p build && { $(1) > build/log 2>&1 || { tail -n 30 build/log; exit 1; }; }

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build test test-long properties check check-long format bench bench-instructions bench-memory bench-replay bench-live bench-screen bench-history bench-batch lab fuzz sanitized races mutants soak site sdist wheel packages check-packages clean distclean
.PHONY: lint tests-in-turn test-normal test-checked

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.built ## show trtop on the example capture, or on CAPTURE=/path
	@$(BIN)/trtop $(CAPTURE)

build: $(VENV)/.built ## make .venv and build the kernels

test: test-normal ## run the tests

properties: $(VENV)/.dev ## property tests on examples that nobody tried before; ROUNDS=1
	for round in $$(seq $(ROUNDS)); do TRTOP_NEW_EXAMPLES=1 $(BIN)/pytest -m hypothesis $(ARGS) || exit; done

test-long: $(VENV)/.dev ## the command on every cut and on many damaged captures: half an hour
	TRTOP_LONG=1 $(BIN)/pytest --timeout 3600 tests/cli/test_robust_command.py

check: $(VENV)/.dev ## all that CI runs: formatting, linters, types, instructions, tests on both builds
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=line tests-in-turn lint bench-instructions

check-long: test-long properties check-packages soak ## what takes long besides: damaged captures, a deb on a bare Debian, the soak (as root)

# Linters and the count of instructions run beside the tests; both builds' tests do not: they make
# the same interfaces.
tests-in-turn: $(CHECKED_TREE)/.built
	@$(MAKE) --no-print-directory test-normal
	@$(MAKE) --no-print-directory test-checked

format: $(VENV)/.dev ## format the code
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(VENV)/.built ## measure speed and memory; QUICK=1 for small captures, ARGS='…' for options
	$(BIN)/python benchmarks/bench.py $(if $(QUICK),--quick) $(ARGS)

bench-instructions: $(VENV)/.built ## count the instructions of a packet (valgrind), at most 3 % above those that are kept
	$(BIN)/python benchmarks/bench_instructions.py $(ARGS)

bench-memory: $(VENV)/.built ## measure the bytes that a connection takes: tried, open, closed
	$(BIN)/python benchmarks/bench_memory.py $(ARGS)

bench-replay: $(VENV)/.built ## measure subprocess, socket and engine; QUICK=1 and ARGS as above
	$(BIN)/python benchmarks/bench_replay.py $(if $(QUICK),--quick) $(ARGS)

bench-live: $(VENV)/.built ## measure drops and CPU of a live capture beside tcpdump (as root)
	$(BIN)/python benchmarks/bench_live.py $(if $(QUICK),--seconds 2 --rounds 1) $(ARGS)

bench-screen: $(VENV)/.built ## measure a refresh of the screen at 10,000 destinations
	$(BIN)/python benchmarks/screen.py $(ARGS)

bench-history: $(VENV)/.built ## measure what the history costs an engine, of captures: ARGS='FILE …'
	$(BIN)/python benchmarks/history.py $(ARGS)

bench-batch: $(VENV)/.built ## measure captures of many hosts on 1, 2, … cores, and work out a cluster
	$(BIN)/python benchmarks/batch.py $(if $(QUICK),--hosts 8) $(ARGS)

lab: $(VENV)/.lab ## compare with what real clients measured (as root), write docs/accuracy.md; ARGS='NAME …'
	PYTHONPATH=tests:tests/live $(BIN)/python -m lab --write $(ARGS)

fuzz: $(FUZZ_TREE)/.built $(VENV)/.fuzz ## fuzz each target for SECONDS=60, guided by coverage; TARGET='savefile wire' (needs clang)
	PYTHONPATH=$(CURDIR)/fuzz $(BIN)/python fuzz/run.py $(FUZZ_TREE)/lib --seconds $(SECONDS) $(TARGET) $(ARGS)

sanitized: $(SANITIZED_TREE)/.built ## build the kernels with sanitizers, for the tests (see CONTRIBUTING.md)

# An address space that is not laid out at random is one that ThreadSanitizer finds its place in.
races: $(RACES_TREE)/.built $(VENV)/.dev ## look for data races of threads that count side by side (ThreadSanitizer)
	LD_PRELOAD=$$(gcc -print-file-name=libtsan.so) TSAN_OPTIONS='suppressions=$(CURDIR)/lint/races.supp exitcode=66' \
	  PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(RACES_TREE)/lib setarch --addr-no-randomize \
	  $(BIN)/python -m pytest --numprocesses 0 $(or $(TESTS),tests/core/test_races.py tests/core/test_shards.py)

mutants: $(VENV)/.dev ## put 200 small mistakes into the kernels, see which the tests catch; MUTANTS=400 SEED=2
	@$(call quietly,PYTHONPATH=tests $(BIN)/python -m mutation.build build/mutants --mutants $(MUTANTS) --seed $(SEED))
	PYTHONPATH=tests $(BIN)/python -m mutation.hunt build/mutants --jobs 2 $(ARGS)

soak: $(VENV)/.dev ## hours of capture time, a fault each minute (as root): numbers exact, memory flat; HOURS=0.5
	PYTHONPATH=tests:tests/live $(BIN)/python -m soak --hours $(HOURS)

site: $(VENV)/.dev ## write the documents as a site to build/site
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -c docs/site -d build/doctrees . build/site

sdist: $(VENV)/.dev ## write dist/trtop-*.tar.gz
	$(BIN)/python -m build --sdist --no-isolation --outdir dist .

# From the source distribution, which so is known to be whole; for this Python and this machine.
wheel: $(VENV)/.dev ## write dist/trtop-*.whl, checked where there is no compiler
	@rm -rf build/wheel dist/trtop-*.whl
	@$(call quietly,$(BIN)/python -m build --no-isolation --outdir build/wheel .)
	$(BIN)/auditwheel repair --wheel-dir dist build/wheel/trtop-*.whl
	$(BIN)/python packaging/check_wheel.py dist/trtop-*.whl

packages: wheel ## write dist/trtop_*.deb and dist/trtop-*.rpm
	@rm -f dist/trtop*.deb dist/trtop*.rpm
	$(BIN)/python packaging/build_packages.py dist/trtop-*.whl

check-packages: packages ## install the deb on a bare Debian 12 and use it (as root, with mmdebstrap)
	packaging/check_deb.sh dist/trtop*.deb

clean: ## remove what was built
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f $(VENV)/.installed $(VENV)/.built
	find trtop trtop_core trtop_daemon -name '*.so' -delete
	find ext -name '*.c' -delete
	find trtop trtop_core trtop_daemon tests benchmarks examples fuzz lint -name __pycache__ -exec rm -rf {} +

distclean: clean ## remove .venv and the benchmarks' captures as well
	rm -rf $(VENV) benchmarks/data

# Stubs say what Python calls; what they leave out is for kernels among themselves.
KERNEL_STUBS := $(patsubst %.pyi,%,$(subst /,.,$(wildcard trtop_core/_*.pyi)))

lint: $(VENV)/.dev
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --concise --ignore-missing-stub $(KERNEL_STUBS)
	$(BIN)/cython-lint ext
	$(BIN)/lint-imports
	$(BIN)/python lint/circles.py
	$(BIN)/python lint/markdown.py
	$(BIN)/codespell

# Two at a time: most of the time a test waits for a process.
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadgroup

test-normal: $(VENV)/.dev
	$(PYTEST)

# The same tests on kernels with bounds checks: a tree of its own, found before the normal build. What
# is packed and how pages look does not change with it.
test-checked: $(VENV)/.dev $(CHECKED_TREE)/.built
	PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(CHECKED_TREE)/lib $(PYTEST) \
	  --ignore tests/packaging --ignore tests/docs/test_site.py

$(BIN)/python:
	$(stop_if_lacking)@$(PYTHON) -m venv $(VENV)

$(VENV)/.requirements: $(BIN)/python pyproject.toml
	@$(call requirements,project["build-system"]["requires"] + project["project"]["dependencies"]) > $@.txt
	@echo 'trtop: installing what the build needs into $(VENV)'
	@$(PIP) install 'pip>=25.1' --requirement $@.txt
	@touch $@

# Editable, and without kernels: pip would build every one, every time. "compat" is a line in a .pth
# file; what setuptools does by default runs at every start of Python.
$(VENV)/.installed: $(VENV)/.requirements pyproject.toml
	$(stop_if_lacking)@TRTOP_WITHOUT_KERNELS=1 $(PIP) install --no-build-isolation --no-deps --config-settings editable_mode=compat --editable .
	@touch $@

# Only what has changed.
$(VENV)/.built: $(VENV)/.installed $(BUILD_SOURCES)
	$(stop_if_lacking)@echo 'trtop: building the kernels$(if $(wildcard trtop_core/*.so),,, a minute on a small machine)'
	@$(call quietly,$(BIN)/python setup.py build_ext --inplace)
	@$(call bytecode,trtop trtop_core trtop_daemon)
	@touch $@

$(VENV)/.dev: $(VENV)/.built
	@$(PIP) install --group dev
	@touch $@

$(VENV)/.lab: $(VENV)/.dev
	@$(PIP) install --group lab
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	@$(PIP) install --group fuzz
	@touch $@

$(CHECKED_TREE)/.built: $(VENV)/.requirements $(BUILD_SOURCES) $(PACKAGE_SOURCES)
	@echo 'trtop: building the kernels with bounds checks'
	@rm -rf $(CHECKED_TREE)
	@$(call quietly,TRTOP_CHECKED=1 $(BIN)/python setup.py build \
	  --build-base $(CHECKED_TREE) --build-lib $(CHECKED_TREE)/lib)
	@$(call bytecode,$(CHECKED_TREE)/lib)
	@touch $@

$(SANITIZED_TREE)/.built: $(VENV)/.requirements $(BUILD_SOURCES) $(PACKAGE_SOURCES)
	@echo 'trtop: building the kernels with AddressSanitizer and UndefinedBehaviorSanitizer'
	@rm -rf $(SANITIZED_TREE)
	@$(call quietly,TRTOP_SANITIZE=1 $(BIN)/python setup.py build \
	  --build-base $(SANITIZED_TREE) --build-lib $(SANITIZED_TREE)/lib)
	@touch $@

$(RACES_TREE)/.built: $(VENV)/.requirements $(BUILD_SOURCES) $(PACKAGE_SOURCES)
	@echo 'trtop: building the kernels with ThreadSanitizer'
	@rm -rf $(RACES_TREE)
	@$(call quietly,TRTOP_RACES=1 $(BIN)/python setup.py build \
	  --build-base $(RACES_TREE) --build-lib $(RACES_TREE)/lib)
	@touch $@

# Only clang counts coverage as libFuzzer reads it, which atheris brings.
$(FUZZ_TREE)/.built: $(VENV)/.requirements $(BUILD_SOURCES) $(PACKAGE_SOURCES)
	@command -v clang > /dev/null || { echo 'trtop: fuzzing needs clang; install it, e.g.: apt-get install clang'; exit 1; }
	@echo 'trtop: building the kernels with sanitizers and counters of coverage'
	@rm -rf $(FUZZ_TREE)
	@$(call quietly,CC=clang LDSHARED='clang -shared' TRTOP_FUZZ=1 $(BIN)/python setup.py build \
	  --build-base $(FUZZ_TREE) --build-lib $(FUZZ_TREE)/lib)
	@touch $@
