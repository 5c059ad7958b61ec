# Thin over the command `firnline` (workbench/cli). `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

UV := .tools/uv/bin/uv
APP := .venv/app
MXNET := .venv/mxnet
DOCS := .venv/docs
CHECKS := .venv/checks
FETCH := .venv/fetch
export PATH := $(CURDIR)/$(APP)/bin:$(PATH)
# What Python compiles lies in a folder of its own: the tree stays clean, and no process compiles its libraries anew.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/pycache
unexport PYTHONDONTWRITEBYTECODE
export SAM_CLI_TELEMETRY := 0
export SAGEMAKER_SUPPRESS_V2_WARNING := 1
LOCK := $(UV) pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 \
        --custom-compile-command "make lock"

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# ------------------------------------------------------------------------------------------------ environments
# MXNet's training toolkit has one module in C, a preload for MPI on several hosts. With `true` for a compiler it is left
# out, and so no machine needs a compiler or Python's headers; a module of its name stands in where it is imported.
NO_COMPILER := CC=true CXX=true LDSHARED=true
# uv leaves lock files in the temporary directory.
WITHOUT_TRACES = mkdir -p .tools/tmp && trap 'rm -rf .tools/tmp' EXIT && TMPDIR=$(CURDIR)/.tools/tmp
NO_PYTHON := echo "Python 3.11 was not found, and uv could not make an environment with it (its reason is above). \
  On Debian 12 and Ubuntu 22.04: sudo apt install python3.11; on a newer Ubuntu it is in the PPA deadsnakes."

define CHECK
@command -v python3 >/dev/null || { echo "python3 is not installed. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
@python3 workbench/prerequisites.py
endef

$(UV): requirements/uv.txt
	$(CHECK)
	@echo "· bringing uv, the installer"
	@python3 -m pip install -q --disable-pip-version-check --require-hashes --upgrade --target .tools/uv -r requirements/uv.txt 2>/dev/null \
	  || { python3 -m venv .tools/venv && .tools/venv/bin/pip install -q --require-hashes -r requirements/uv.txt \
	       && mkdir -p .tools/uv/bin && cp .tools/venv/bin/uv $(UV); } \
	  || { echo "uv could not be installed (the reason is above): it takes a package index that answers, and python3-venv."; exit 1; }
	@touch $(UV)

$(APP)/.ready: requirements/app.txt | $(UV)
	$(CHECK)
	@echo "· installing the application's environment (about 1.4 GB; a minute or two)"
	@$(UV) venv -q --clear --seed --python 3.11 $(APP) || { $(NO_PYTHON); exit 1; }
	@$(WITHOUT_TRACES) $(UV) pip install -q --python $(APP)/bin/python --require-hashes -r requirements/app.txt
	@printf '%s\n' "$(CURDIR)" "$(CURDIR)/layers/firnline" "$(CURDIR)/services" \
	  > "$$($(APP)/bin/python -c 'import site; print(site.getsitepackages()[0])')/firnline.pth"
	@printf '#!%s\nfrom workbench.cli import app\n\napp()\n' "$(CURDIR)/$(APP)/bin/python" > $(APP)/bin/firnline
	@chmod +x $(APP)/bin/firnline
	@touch $@

$(MXNET)/.ready: requirements/mxnet.txt | $(UV)
	@echo "· installing MXNet's environment, the stand-in for the SageMaker image (400 MB)"
	@$(UV) venv -q --clear --python 3.11 $(MXNET) || { $(NO_PYTHON); exit 1; }
	@$(WITHOUT_TRACES) $(NO_COMPILER) $(UV) pip install -q --python $(MXNET)/bin/python --require-hashes -r requirements/mxnet.txt
	@$(MXNET)/bin/python -c 'import gethostname' 2>/dev/null || echo '"""Stands in for a preload for MPI, which one machine does not use."""' \
	  > "$$($(MXNET)/bin/python -c 'import site; print(site.getsitepackages()[0])')/gethostname.py"
	@touch $@

$(DOCS)/.ready: requirements/docs.txt | $(UV)
	@echo "· installing the documentation's environment (45 MB)"
	@$(UV) venv -q --clear --python 3.11 $(DOCS) || { $(NO_PYTHON); exit 1; }
	@$(WITHOUT_TRACES) $(UV) pip install -q --python $(DOCS)/bin/python --require-hashes -r requirements/docs.txt
	@touch $@

$(FETCH)/.ready: requirements/fetch.txt | $(UV)
	@echo "· installing the archives' libraries (1.3 GB)"
	@$(UV) venv -q --clear --python 3.11 $(FETCH) || { $(NO_PYTHON); exit 1; }
	@$(WITHOUT_TRACES) $(UV) pip install -q --python $(FETCH)/bin/python --require-hashes -r requirements/fetch.txt
	@touch $@

setup: $(APP)/.ready $(MXNET)/.ready ## install both environments (every other target does so by itself)

lock: | $(UV) ## pin what requirements/*.in ask for, with hashes
	$(LOCK) requirements/uv.in -o requirements/uv.txt
	$(LOCK) requirements/app.in -o requirements/app.txt
	$(LOCK) requirements/mxnet.in -o requirements/mxnet.txt
	$(LOCK) requirements/docs.in -o requirements/docs.txt
	$(LOCK) requirements/image.in -o requirements/image.txt
	$(LOCK) requirements/checks.in -o requirements/checks.txt
	$(LOCK) requirements/fetch.in -o requirements/fetch.txt
	cd layers/firnline && ../../$(LOCK) --python-platform x86_64-manylinux2014 --only-binary :all: requirements.in \
	  $(addprefix --no-emit-package ,boto3 botocore urllib3 python-dateutil six) -o requirements.txt
	cd services/portal && ../../$(LOCK) --python-platform x86_64-manylinux_2_28 --only-binary :all: requirements.in \
	  -c ../../requirements/app.txt $(addprefix --no-emit-package ,python-dateutil six typing-extensions) -o requirements.txt
	cd services/export_segment && ../../$(LOCK) --python-platform x86_64-manylinux_2_28 --only-binary :all: requirements.in \
	  -c ../../requirements/app.txt -o requirements.txt

# ------------------------------------------------------------------------------------------------ running
fetch-tools: setup $(FETCH)/.ready ## what `firnline fetch nsidc` and `fetch opr` ask archives with

demo: setup ## the whole loop: upload, predict, review, correct, retrain, redeploy [FRAMES=dir RETRAIN_EVERY=n]
	@firnline demo $(if $(FRAMES),--frames "$(FRAMES)") $(if $(RETRAIN_EVERY),--retrain-every $(RETRAIN_EVERY))

up: setup ## start the local cloud in the background and deploy to it
	@firnline up

down: setup ## stop it, and the demonstration's; what they hold is kept
	@firnline down

demo-down: setup ## stop the demonstration's stack only
	@firnline down --demo

first-model: setup ## train the model that comes in the box, on simulated campaigns (about 80 minutes)
	@firnline first-model

bench: setup ## our tracker, the reference network and classical trackers in one run, under 20 minutes [FULL=1: hours]
	@firnline bench $(if $(FULL),--full)

pictures: setup ## draw the pictures of the README and the documentation again
	@python -m workbench.pictures

docs: $(DOCS)/.ready ## build the documentation site, with the library's reference; then open build/site/index.html
	@PATH="$(CURDIR)/$(DOCS)/bin:$$PATH" mkdocs build --strict

# ------------------------------------------------------------------------------------------------ checks
test: setup ## everything but the tests marked slow (under 15 minutes on two cores)
	@OMP_NUM_THREADS=1 python -m pytest -m "not slow" -n 2 -q tests/unit tests/contract
	@python -m pytest -m "not slow" -q tests/e2e
	@cd layer_model && ../$(MXNET)/bin/python -m pytest -c ../tests/mxnet/pytest.ini -m "not slow" -q ../tests/mxnet

test-slow: setup ## only the tests marked slow
	@python -m pytest -m slow tests/unit tests/contract tests/e2e
	@cd layer_model && ../$(MXNET)/bin/python -m pytest -c ../tests/mxnet/pytest.ini -m slow ../tests/mxnet

coverage: setup ## what share of the code the unit and contract tests run, by package
	@mkdir -p build
	@OMP_NUM_THREADS=1 python -m pytest -m "not slow" -n 2 -q --cov --cov-report= tests/unit tests/contract
	@python -m tests.support.coverage_table

check: setup lint-template ## format, lint, types, import rules, template and state machines
	@ruff format --check . && ruff check . && mypy && mypy --config-file layer_model.mypy.ini && lint-imports

$(CHECKS)/.ready: requirements/checks.txt | $(UV)
	@echo "· installing the template's checks (checkov) in an environment of their own"
	@$(UV) venv -q --clear --python 3.11 $(CHECKS)
	@$(WITHOUT_TRACES) $(UV) pip install -q --python $(CHECKS)/bin/python --require-hashes -r requirements/checks.txt
	@touch $@

lint-template: setup $(CHECKS)/.ready ## cfn-lint for all regions, state machines, checkov
	@AWS_DEFAULT_REGION=us-east-1 sam validate --lint
	@python -m workbench.lint_template

images: setup ## write the accounts of AWS's MXNet images into template.yaml, from the SageMaker SDK's list
	@python -m workbench.image_accounts

.PHONY: help setup lock fetch-tools demo up down demo-down first-model bench pictures docs test test-slow coverage check lint-template images
