# One command each: run, test, lint, bench. Everything is set up in .venv on the way.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
OUTPUT ?= out

# What the installed extension is built from; Python files are read in place (editable install).
NATIVE := CMakeLists.txt pyproject.toml constraints.txt $(wildcard models/native/*.cpp models/native/*.h models/native/*.cu)
# An editable install knows each module by its file: where one was added, moved or removed, it is made again.
MODULES := build/modules.txt
$(shell mkdir -p build; find lutfuse pipeline transforms models -name '*.py' | sort > $(MODULES).now; \
	cmp -s $(MODULES).now $(MODULES) || cp $(MODULES).now $(MODULES))

CPP := $(wildcard models/native/*.h models/native/*.cpp models/native/*.cu tests/native/*.h tests/native/*.cpp)

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow faults sanitize gpu bench scale lint format ci clean

help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/ready: $(NATIVE) $(MODULES)
	@echo "Setting up $(VENV): Python packages and the compiled extension (minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,lint]"
	@touch $@

# The package as it is installed, made of links to the sources: the type checker and the import contracts read
# it there, for they know no import hooks.
TREE := build/tree
$(TREE)/lutfuse: Makefile
	@rm -rf $(TREE) && mkdir -p $@
	@ln -s $(addprefix $(CURDIR)/,$(wildcard lutfuse/*.* ) pipeline transforms models) $@/

setup: $(VENV)/ready ## create .venv and build the extension

# A bracket is synthesised where none is given.
run: $(VENV)/ready ## fuse: make run [INPUT=folder|glob|manifest] [OUTPUT=uri] [ARGS="--lut-size 17 ..."]
ifdef INPUT
	$(BIN)/lutfuse fuse --input "$(INPUT)" --output "$(OUTPUT)" $(ARGS)
else
	$(BIN)/lutfuse demo --output "$(OUTPUT)/demo"
	$(BIN)/lutfuse fuse --input "$(OUTPUT)/demo" --output "$(OUTPUT)" $(ARGS)
endif

test: $(VENV)/ready ## run the tests; the end says what was skipped and why
	$(BIN)/pytest $(ARGS)

test-slow: $(VENV)/ready ## run the tests that take minutes: kills, damage by the thousand, a worker pool
	$(BIN)/pytest -m slow --slow $(ARGS)

faults: $(VENV)/ready ## only the fault suite: killed jobs, full disks, lying storage
	$(BIN)/pytest --slow tests/faults tests/storage $(ARGS)

sanitize: ## fuzz the kernel's paths against each other under AddressSanitizer and UBSan
	tests/native/run.sh

gpu: ## on a GPU machine: build with CUDA, run tests/gpu, print the benchmark
	tests/gpu/run.sh

bench: $(VENV)/ready ## speed of this machine, stage by stage, and of the kernel alone
	$(BIN)/lutfuse bench $(ARGS)
	$(BIN)/python tests/benchmarks/bench_fuse.py

scale: $(VENV)/ready ## a million brackets through everything but the pixels
	$(BIN)/python tests/benchmarks/bench_scale.py $(ARGS)

lint: $(VENV)/ready $(TREE)/lutfuse ## ruff, clang-format, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy
	@# -S: without the import hook of the editable install, which would come before the tree.
	cd $(TREE) && PYTHONPATH=$$($(CURDIR)/$(BIN)/python -c 'import site; print(*site.getsitepackages(), sep=":")') \
		$(CURDIR)/$(BIN)/python -S $(CURDIR)/$(BIN)/lint-imports --config $(CURDIR)/pyproject.toml

format: $(VENV)/ready ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

ci: lint test ## what every change must pass

clean: ## remove the environment and all build products
	rm -rf $(VENV) build out
