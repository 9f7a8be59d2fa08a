# Bridgetender's commands; `make` alone lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test faults faults-quick check simulate lock bench docs release-check trial-container trial-systemd clean

help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.runtime ## watch stored keys become live connectors, and come back after the bridge forgets them
	@$(BIN)/bridgetender demo $(ARGS)

test: .venv/.dev ## run the tests, as many at once as there are cores up to four (ARGS="-k name" for some)
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

faults: .venv/.dev ## break everything, on real processes, and count the harm (FAULT=name, ARGS=--list)
	@$(BIN)/python -m tests.faults $(FAULT) $(ARGS)

faults-quick: .venv/.dev ## the most telling of these faults, in under four minutes
	@$(BIN)/python -m tests.faults --quick $(ARGS)

check: .venv/.dev ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

simulate: .venv/.dev ## the loop in a simulated, faulty world (SEEDS=2000 FIRST=0, or SEED=1234 to replay one)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000) --first $(or $(FIRST),0))

bench: .venv/.runtime ## figures (BENCH=convergence, reaction, restart, owners, bridge_life, bridge_memory or console_pages)
	@$(BIN)/python -m bench.$(or $(BENCH),convergence) $(ARGS)

docs: .venv/.dev ## these pages as a site in docs/.site, which may be read from there; a link to nowhere fails
	@$(BIN)/zensical build --strict -f docs/zensical.toml

release-check: .venv/.release ## build the release into dist/, and try it in an empty environment
	@$(BIN)/python -m deploy.release

lock: ## pin every dependency anew, with hashes and without host names (needs uv)
	@uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links pyproject.toml deploy/build.in -o requirements.lock
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links pyproject.toml deploy/build.in --extra dev \
	  -c requirements.lock -o requirements-dev.lock
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links deploy/release/tools.in -c requirements-dev.lock \
	  -o requirements-release.lock
	@! grep -n '://' requirements.lock requirements-dev.lock requirements-release.lock

trial-container: ## build the image and start compose.yaml in a Docker started for it (as root), or the build's steps alone
	@PYTHON=$(PYTHON) deploy/container/trial.sh

trial-systemd: ## install by docs/deploy-systemd.md in a Debian booted for it, and try the units (as root)
	@PYTHON=$(PYTHON) deploy/systemd/trial.sh

clean: ## remove what the commands above made
	rm -rf docs/.cache docs/.site .venv .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

.venv/.made:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed and '$(PYTHON)' is not in PATH: install it, or say 'make PYTHON=/path/to/python3 ...'" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; '$(PYTHON)' is older: say 'make PYTHON=/path/to/python3.11 ...'" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python has no venv module: on Debian or Ubuntu run 'apt install python3-venv', on Fedora 'dnf install python3'" >&2; exit 1; }
	@rm -rf .venv && $(PYTHON) -m venv .venv
	@touch $@

.venv/.runtime: .venv/.made requirements.lock pyproject.toml
	@echo "Installing the pinned packages into .venv (once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.runtime requirements-dev.lock
	@echo "Installing the test tools into .venv (once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-compile --require-hashes -r requirements-dev.lock
	@touch $@

.venv/.release: .venv/.dev requirements-release.lock
	@echo "Installing the release tools into .venv (once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-compile --require-hashes -r requirements-release.lock
	@touch $@
