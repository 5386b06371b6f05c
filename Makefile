# The commands of this repository: `make demo` and `make test` do everything that a new user needs.
# Where another Python than the system's is wanted: make parity PYTHON=path/to/python (it needs torch, numpy, safetensors).

PACKAGES = libopenblas-dev libomp-dev zlib1g-dev libpng-dev pkg-config dataset-fashion-mnist
CLANG_FORMAT = .venv/bin/clang-format
PYTHON ?= python3
SWIFT_SOURCES = Package.swift Sources Tests

.PHONY: setup demo test check test-python fuzz sanitize crash soak bits pages consumer parity peers bars \
    models table results benchmark format mlflow python-packages all-checks

# Trains the tutorial's model (784-128-256-10) on Fashion-MNIST for three epochs in bf16-mixed.
demo: setup
	swift run -c release needletail train --data fashion-mnist --epochs 3 --precision bf16-mixed

test: setup
	swift test -c release --no-parallel --disable-xctest

# Installs what is missing; silent and instant where nothing is.
setup:
	@missing=""; \
	for package in $(PACKAGES); do \
	    case "$$(dpkg-query --show --showformat '$${db:Status-Status}' $$package 2>/dev/null)" in \
	        installed) ;; \
	        *) missing="$$missing $$package" ;; \
	    esac; \
	done; \
	if [ -n "$$missing" ]; then \
	    echo "Installing$$missing"; \
	    sudo=""; if [ "$$(id -u)" != 0 ]; then sudo=sudo; fi; \
	    $$sudo apt-get update --quiet && \
	    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $$missing; \
	fi

# Formatting, layering, warnings and the scripts' own tests. The build shares its products with `make test`.
check: setup $(CLANG_FORMAT) test-python
	swift format lint --strict --recursive $(SWIFT_SOURCES)
	find CSIMD Sources/CStandardStreams Sources/CStart -name '*.[ch]' -print0 | xargs -0 $(CLANG_FORMAT) --dry-run -Werror
	.ci/check-c
	.ci/check-layers
	@mkdir -p .build
	swift test list -c release --disable-xctest --explicit-target-dependency-import-check error >.build/tests.txt \
	    || { cat .build/tests.txt; exit 1; }

# The tests of scripts and benchmarks in Python, seconds; they need its standard library only.
test-python:
	python3 -m unittest discover --start-directory Tests/python --pattern '*_tests.py'

# Each reader of foreign files under libFuzzer for SECONDS, beginning with the committed corpora.
SECONDS ?= 20
fuzz: setup
	.ci/fuzz $(SECONDS)

# The kernels and their tests under the address, undefined-behaviour and thread sanitizers.
sanitize: setup
	.ci/sanitize

# Kills a training run at random moments, KILLS times.
KILLS ?= 500
crash: setup
	NEEDLETAIL_KILLS=$(KILLS) swift test -c release --no-parallel --disable-xctest --filter CrashTests

# A run of MINUTES in which memory, threads and file descriptors must stay as they are.
MINUTES ?= 60
soak: setup
	NEEDLETAIL_SOAK_SECONDS=$$(($(MINUTES) * 60)) swift test -c release --no-parallel --disable-xctest --filter SoakTests

# Brings the table of checkpoints' checksums up to date with what this machine computes. Lines of kernels that it lacks stay, or are
# marked "to be recorded" where they can no longer be right; where a run is to leave the table: make bits BITS_OPTIONS=--drop
BITS = Tests/NeedletailTrustTests/Fixtures/checkpoints.txt
bits: setup
	@mkdir -p .build
	NEEDLETAIL_PRINT_BITS=1 swift test -c release --no-parallel --disable-xctest --filter ReproducibleBitsTests > .build/bits.log || \
	    { grep -E '✘|error:' .build/bits.log; exit 1; }
	scripts/rewrite_bits.py $(BITS) .build/bits.log $(BITS_OPTIONS)

# Rewrites the sources in the formatters' style.
format: $(CLANG_FORMAT)
	swift format --in-place --recursive $(SWIFT_SOURCES)
	find CSIMD Sources/CStandardStreams Sources/CStart -name '*.[ch]' -print0 | xargs -0 $(CLANG_FORMAT) -i

$(CLANG_FORMAT):
	.ci/install-clang-format

# TensorBoard's own reader, for the test that opens event files with it.
.venv/bin/tensorboard: | $(CLANG_FORMAT)
	.venv/bin/pip install --quiet --disable-pip-version-check tensorboard==2.21.0

# Against a real MLflow server on loopback, from PyPI; not part of CI.
mlflow: setup | $(CLANG_FORMAT)
	.venv/bin/pip install --quiet --disable-pip-version-check mlflow==3.17.2
	NEEDLETAIL_TEST_MLFLOW=$(CURDIR)/.venv/bin/mlflow \
	    swift test -c release --no-parallel --disable-xctest --filter MLflowServerTests

# PyTorch and what else `make parity` needs, into .venv: from the wheels in WHEELS, if there are any, else from PyPI.
WHEELS ?= $(abspath $(dir $(realpath $(shell command -v swift)))../../../wheels)
python-packages: | $(CLANG_FORMAT)
	.venv/bin/python -c 'import numpy, safetensors, torch' 2>/dev/null || \
	    .venv/bin/pip install --quiet --disable-pip-version-check $(if $(wildcard $(WHEELS)),--find-links $(WHEELS)) \
	        torch==2.13.0 numpy safetensors || \
	    { echo "No PyTorch for $$(.venv/bin/python --version): neither in $(WHEELS) nor on PyPI" >&2; exit 1; }

# The long form of each check, after what CI runs: about three hours and a half on two cores, of which MINUTES is the long run, KILLS
# half a second each, and SECONDS one of six readers. A short round: make all-checks MINUTES=5 KILLS=50 SECONDS=60
all-checks: SECONDS = 600
all-checks: setup
	.ci/all-checks $(MINUTES) $(KILLS) $(SECONDS)

# Every command that README.md and docs/ show, as it stands there, on a terminal and into a pipe.
pages: setup
	swift build -c release --product needletail
	.ci/pages

# A throw-away package that depends on this one (its last commit) by version; it compiles the Swift of pages and doc comments.
consumer: setup
	Tests/consumer/run

# Against the installed PyTorch, not part of CI: each operation forward and backward on random shapes (CASES of each, from SEED),
# then the tutorial's training on Fashion-MNIST.
SEED ?= $(shell date +%j%H%M%S)
SEED := $(SEED)
CASES ?= 16
parity: setup
	$(PYTHON) Tests/parity/operations.py --seed $(SEED) --cases $(CASES) --largest 12 --output .build/operations.safetensors
	NEEDLETAIL_PARITY_FILE=$(CURDIR)/.build/operations.safetensors swift test -c release --no-parallel --disable-xctest \
	    --filter OperationParityTests
	$(PYTHON) Tests/parity/compare.py --seed $(SEED)

# Matrix products and the training loop beside PyTorch, oneDNN, OpenBLAS and Lightning, interleaved; 35 minutes at most.
peers: setup
	swift build -c release --product needletail
	$(PYTHON) Benchmarks/peers/compare_products.py
	$(PYTHON) Benchmarks/peers/compare_mlp.py

# Every bar for kernels beside PyTorch in one table, .build/bars.md (its shapes in bars.json); eight minutes, and 49 at most
# (compare_bars.py), on a machine that does nothing else.
bars: setup
	swift build -c release --product needletail
	$(PYTHON) Benchmarks/peers/compare_bars.py --json .build/bars.json > .build/bars.new
	mv .build/bars.new .build/bars.md
	cat .build/bars.md

# A convolutional network and a GPT beside PyTorch on one thread and on two, .build/models.md; fifteen minutes, and 80 at most,
# on a machine that does nothing else. The GPT learns the text in TEXT: make models TEXT=input.txt
models: setup
	@test -r "$(TEXT)" || { echo "TEXT is '$(TEXT)', expected a text file to learn: make models TEXT=input.txt" >&2; exit 64; }
	swift build -c release --product needletail
	Benchmarks/peers/compare_models "$(PYTHON)" "$(TEXT)" > .build/models.new
	mv .build/models.new .build/models.md
	cat .build/models.md

# This machine's page in Benchmarks/Results with the README's figures; twelve minutes, and two hours at most, on a machine that
# does nothing else.
results: setup
	swift build -c release --product needletail
	$(PYTHON) Benchmarks/results.py

# Regression benchmarks; arguments: make benchmark ARGUMENTS='baseline compare before --filter gemm.mlp.*'
benchmark: setup
	cd Benchmarks && swift package --allow-writing-to-package-directory benchmark $(ARGUMENTS)

# The README's table of the six modes.
table: setup
	swift build -c release --product needletail
	python3 Benchmarks/six_modes.py
