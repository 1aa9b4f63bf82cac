# Retouch: every command of the project. `make` alone lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.10,$(shell command -v python$(v) 2>/dev/null)) $(shell command -v python3))
BIN := .venv/bin
# pinned versions for every Python; `make lock` writes them from pyproject.toml
PINS := requirements.txt
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
UV ?= uv
CHECKPOINT ?= checkpoints/photo
LANES ?= bf16,fp8,fp4
SETUP := .venv/.setup
LPIPS := .venv/.lpips
WEB := .venv/.web
CHECKS := .venv/.checks
OPPONENTS := .venv/.opponents
AIPERF := .venv-aiperf/.setup
RIVER := .venv-river/.setup
DEV := .venv/.dev

IMAGE ?= $(firstword $(wildcard $(CHECKPOINT)/sample.*g))
INSTRUCTION ?= $(shell cat $(CHECKPOINT)/sample.txt 2>/dev/null)
OUT ?= out.png

# ONNX Runtime's wheels report to their maker unless told not to
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help setup export demo edit serve openai web eval lock lint typecheck test test-unit test-fast test-gpu gpu profile fields profiles bindings monitor doctor bench aiperf river exported opponents overhead ablation photos train clean distclean

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(SETUP)  ## Make .venv from the pinned requirements
$(SETUP): $(PINS) pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v in ((3, 10), (3, 11), (3, 12)) or sys.exit("Python %d.%d found; Retouch needs 3.10, 3.11 or 3.12 (make PYTHON=...)" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) --no-deps --requirement $(PINS)
	$(BIN)/python $(INSTALL) $$(grep ^torch== $(PINS))  # a CUDA build has dependencies of its own
	$(BIN)/python $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# asked each time, for it alone knows all that artifacts are made of; where they are right it takes less than a second
export: $(SETUP)  ## Turn the checkpoint into ONNX in model_repository/
	$(BIN)/retouch export $(CHECKPOINT) --precision $(LANES)
# of whichever checkpoint, unless one is named
exported: $(SETUP)
	$(BIN)/retouch export $(CHECKPOINT) --precision $(LANES) $(if $(filter file,$(origin CHECKPOINT)),--keep)

demo: exported  ## Make example edits on a real server; pictures go to out/
	$(BIN)/retouch demo --out out --force

edit: exported  ## Edit one image: make edit IMAGE=photo.jpg INSTRUCTION="make it warmer" OUT=warm.jpg
	$(BIN)/retouch edit --start "$(IMAGE)" "$(INSTRUCTION)" -o "$(OUT)" --force

serve: exported  ## Run the server on 127.0.0.1:8000 (HTTP) and :8001 (gRPC) until Ctrl-C
	$(BIN)/retouch serve

openai: exported $(WEB)  ## Serve OpenAI's image editing API on 127.0.0.1:8080, with a server when none runs, until Ctrl-C
	$(BIN)/retouch openai --start

web: exported $(WEB)  ## Serve the web page on 127.0.0.1, with a server when none runs, until Ctrl-C
	$(BIN)/retouch web

eval: export $(LPIPS)  ## All lanes over held-out shapes, photographs (make photos) and sentences: PRECISION="fp8" for one beside bf16, PARTS=all for the parser's lanes too
	$(if $(PARTS),$(BIN)/retouch export $(CHECKPOINT) --precision $(LANES) --parts $(LANES))
	$(BIN)/python -m training.evaluate --precision $(PRECISION) $(if $(PARTS),--parts $(filter-out all,$(PARTS)) --write export/README.md) --json out/eval.json --worst out/worst.png --sheet out/held-out.jpg --reliability out/reliability.svg $(EVAL)
$(LPIPS): $(SETUP) requirements-eval.txt
	$(BIN)/python $(INSTALL) --no-deps --requirement requirements-eval.txt
	@touch $@

$(WEB): $(SETUP) requirements-web.txt
	$(BIN)/python $(INSTALL) --no-deps --requirement requirements-web.txt
	@touch $@
$(CHECKS): $(WEB) requirements-test.txt
	$(BIN)/python $(INSTALL) --no-deps --requirement requirements-test.txt
	@touch $@

test: export $(CHECKS) aiperf river  ## All tests, a real server among them
	$(BIN)/python -m pytest tests -n 2 --dist loadfile --no-loadscope-reorder

test-unit: $(CHECKS)  ## The quick tests: no server, no checkpoint
	$(BIN)/python -m pytest tests/unit tests/contract

test-fast: export $(CHECKS)  ## Quick tests of every tier: about three minutes on two cores
	$(BIN)/python -m pytest tests -m fast -n 2 --dist loadfile --no-loadscope-reorder

test-gpu: export  ## What needs a GPU; on a machine without one all of it is skipped
	$(BIN)/python -m pytest tests/gpu

gpu: $(SETUP)  ## Measure everything that a GPU can tell: make gpu GPU="--budget 600"
	$(BIN)/python -m benchmarks.gpu_hour $(GPU)

profile: exported  ## Measure what a step costs on this machine, for the scheduler
	$(BIN)/retouch profile

fields: $(SETUP)  ## Write the table of request fields (retouch/api/fields.py) into the configs and README.md
	$(BIN)/python -m retouch.api.write_fields

profiles: $(SETUP)  ## Write the profiles (retouch/launcher/write_profiles.py) of the stages and denoisers
	$(BIN)/python -m retouch.launcher.write_profiles

bindings: $(SETUP)  ## Fetch TensorRT's Python bindings, which the tests hold our names against
	$(BIN)/python tests/bindings/fetch.py

monitor: $(SETUP)  ## Watch a running server by Prometheus and Grafana until Ctrl-C
	$(BIN)/retouch monitor

doctor: $(SETUP)  ## Say what this machine lacks
	$(BIN)/retouch doctor

bench: exported $(WEB) aiperf  ## Measure this machine and write out/bench/report.html: eight minutes, or QUICK=1 for three
	$(BIN)/python -m benchmarks.report $(if $(QUICK),--quick) $(BENCH)
aiperf:
	@$(MAKE) --no-print-directory $(AIPERF) || echo "AIPerf cannot be installed here: the report and its tests go without it"
$(AIPERF): requirements-aiperf.txt
	@test -x .venv-aiperf/bin/python || $(PYTHON) -m venv .venv-aiperf
	.venv-aiperf/bin/python $(INSTALL) --no-deps --requirement requirements-aiperf.txt
	@touch $@

river:  ## Install river beside .venv: tests hold our drift detectors against it
	@$(MAKE) --no-print-directory $(RIVER) || echo "river cannot be installed here: the tests go without it"
$(RIVER): requirements-river.txt
	@test -x .venv-river/bin/python || $(PYTHON) -m venv .venv-river
	.venv-river/bin/python $(INSTALL) --no-deps --requirement requirements-river.txt
	@touch $@

opponents: $(OPPONENTS)  ## Install what benchmarks.denoising, .door and .crowd need: LitServe and openai's SDK
$(OPPONENTS): $(WEB) requirements-bench.txt
	$(BIN)/python $(INSTALL) --no-deps --requirement requirements-bench.txt
	@touch $@

overhead: export  ## What serving adds to the same ONNX sessions in a plain loop
	$(BIN)/python -m benchmarks.overhead

ablation: export $(LPIPS)  ## What each means against rounding brings in the FP4 lane (five minutes)
	$(BIN)/python -m benchmarks.quantisation --pictures nearest search feedback "feedback, tail 1" --json out/ablation.json

lint: $(DEV)  ## Check style and format (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(DEV)  ## Check types (pyright)
	$(BIN)/pyright
$(DEV): $(SETUP) requirements-dev.txt
	$(BIN)/python $(INSTALL) --no-deps --requirement requirements-dev.txt
	@touch $@

lock:  ## Write requirements*.txt from pyproject.toml (needs uv)
	$(LOCK) pyproject.toml $(BASE) --output-file $(PINS)
	$(LOCK) pyproject.toml $(BASE) $(FRONTS) --constraints $(PINS) --output-file requirements-web.txt
	$(LOCK) pyproject.toml $(BASE) $(FRONTS) --extra heic --extra feedback --extra postgres --group interop --constraints requirements-web.txt --output-file requirements-test.txt
	$(LOCK) pyproject.toml $(BASE) $(FRONTS) --group bench --constraints requirements-web.txt --output-file requirements-bench.txt
	$(LOCK) --group pyproject.toml:dev --constraints requirements-test.txt --output-file requirements-dev.txt
	$(LOCK) --group pyproject.toml:eval --generate-hashes --constraints requirements-test.txt --output-file requirements-eval.txt
	$(subst 3.10,3.11,$(LOCK)) --no-config --group pyproject.toml:aiperf --output-file requirements-aiperf.txt
	$(subst 3.10,3.11,$(LOCK)) --no-config --group pyproject.toml:river --output-file requirements-river.txt
BASE := --extra serve --extra export --group test
FRONTS := --extra openai --extra web
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal --python-version 3.10 --no-annotate --no-emit-index-url

photos: $(SETUP)  ## Fetch and prepare the photographs and cut-outs that training edits (packages of 500 MB)
	$(BIN)/python -m training.photos

train: $(LPIPS)  ## Make the checkpoint again from a seed (hours on two cores; resumable)
	$(BIN)/python -m training

clean:  ## Remove what commands wrote, but not .venv
	rm -rf build out out.png .runtime .pytest_cache .hypothesis
	rm -rf model_repository/*/.partial model_repository/denoiser_*-*
	find model_repository -path model_repository/evaluator -prune -o -type f -path '*/1/*' -not -name model.py -not -name .gitkeep -exec rm {} +
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## Remove .venv, .venv-aiperf and .venv-river too
	rm -rf .venv .venv-aiperf .venv-river
