# make serve   from a fresh clone to a running server          make test   every test
# make install everything that Python packages can give        make lint   ruff and mypy
# make bench   what docs/performance.md measures; PHOTOS=folder of JPEG files, REVIEWS=aclImdb_v1.tar.gz
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes
MODELS ?= models
PORTS ?= --http-port 8080 --grpc-port 8500 --rest-port 8501
SERVING := gateway modelserver openvino training
EVERYTHING := $(SERVING) tfds otel load store dev
SAMPLES := shapes_cnn shapes_mobilenet sample_reviews
SPACE := $(subst ,, )
HOST ?= http://127.0.0.1:8080
SHAPE ?= constant
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))

.PHONY: serve samples install test audit lint format lock protos saved-models clean bench bench-modelserver bench-gateway bench-overload bench-swaps bench-peers bench-latency numbers profile load load-ui images-test k8s-test monitoring-rule monitoring-test

serve: $(VENV)/.serving samples
	$(RUN) -m serving --models $(MODELS) $(PORTS) --example-photo $(MODELS)/.samples/star.jpg

install: $(VENV)/.everything

test: $(VENV)/.everything
	$(RUN) -m pytest --numprocesses $(WORKERS) --dist loadfile $(TESTS)

audit: $(VENV)/.everything
	$(RUN) -m tests.audit

lint: $(VENV)/.everything
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.everything
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lock: $(VENV)/.everything
	requirements/lock.sh $(LOCK_FLAGS)

protos: $(VENV)/.everything
	$(RUN) -m serving.wire.regenerate

saved-models: $(VENV)/.everything
	$(RUN) -m tests.saved_models.make

bench: $(VENV)/.everything
	$(RUN) -m tests.bench $(PHOTOS:%=--photos %) $(REVIEWS:%=--reviews %) $(BENCH_FLAGS)

bench-peers: $(VENV)/.everything
	$(RUN) -m tests.bench --peers $(PHOTOS:%=--photos %) $(REVIEWS:%=--reviews %) $(BENCH_FLAGS)

bench-latency: $(VENV)/.everything
	$(RUN) -m tests.bench.latency $(PHOTOS:%=--photos %) $(BENCH_FLAGS)

numbers: $(VENV)/.everything
	$(RUN) -m tests.bench.numbers
	$(RUN) -m tests.bench.forecast

profile: $(VENV)/.everything
	$(RUN) -m tests.bench.stages $(PHOTOS:%=--photos %) $(BENCH_FLAGS)

bench-modelserver: $(VENV)/.everything
	$(RUN) -m tests.bench.modelserver $(BENCH_FLAGS)

bench-gateway: $(VENV)/.everything
	$(RUN) -m tests.bench.gateway $(PHOTOS:%=--photos %) $(REVIEWS:%=--reviews %) $(BENCH_FLAGS)

bench-overload: $(VENV)/.everything
	$(RUN) -m tests.bench.overload $(BENCH_FLAGS)

bench-swaps: $(VENV)/.everything
	$(RUN) -m tests.bench.swaps $(BENCH_FLAGS)

load: $(VENV)/.everything
	$(RUN) -m tests.load --host $(HOST) --shape $(SHAPE) $(PHOTOS:%=--photos %) $(REVIEWS:%=--reviews %) $(LOAD_FLAGS)

load-ui: $(VENV)/.everything
	$(VENV)/bin/locust -f tests/load/locustfile.py --host $(HOST) --class-picker --web-host 127.0.0.1

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Samples are trained only where there are no other models, each only once: a second start never imports
# TensorFlow, and a training that was broken off goes on where it stopped.
samples: | $(VENV)/.serving
	@others=$$(ls -d $(MODELS)/*/[0-9]* 2>/dev/null | grep -vE '/($(subst $(SPACE),|,$(SAMPLES)))/'); \
	for name in $(SAMPLES); do \
	  if [ -z "$$others" ] && ! ls -d $(MODELS)/$$name/[0-9]* >/dev/null 2>&1; then missing="$$missing $$name"; fi; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "Training small models on built-in samples, once:$$missing"; \
	  $(RUN) -m training train $$missing --models $(MODELS) || exit $$?; \
	fi; \
	[ -e $(MODELS)/.samples ] || $(RUN) -m training.sample_files $(MODELS)/.samples

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Slipway needs Python 3.11 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 2; }

$(VENV)/.serving: $(SERVING:%=requirements/%.txt) | $(VENV)/bin/python
	@echo "Installing what serving and training need into $(VENV) (TensorFlow is most of it) ..."
	$(PIP) $(SERVING:%=-r requirements/%.txt)
	@touch $@

$(VENV)/.everything: $(EVERYTHING:%=requirements/%.txt) | $(VENV)/bin/python
	@echo "Installing everything, the test tools too, into $(VENV) ..."
	$(PIP) $(EVERYTHING:%=-r requirements/%.txt)
	@touch $@ $(VENV)/.serving

# Builds the images, runs them hardened and asks them; needs Docker, or buildah, podman, runc and mmdebstrap.
images-test: $(VENV)/.everything
	$(RUN) -m pytest tests/images -m images $(IMAGES_FLAGS)

# Everything about the manifests, the policy scan by checkov too.
k8s-test: $(VENV)/.everything $(VENV)/policy/.installed
	$(RUN) -m pytest tests/k8s tests/test_tensorflow_serving_files.py tests/test_store.py -m 'policy or not policy'

$(VENV)/policy/.installed: requirements/policy.txt | $(VENV)/bin/python
	@echo "Installing checkov apart from everything else ..."
	@$(PYTHON) -m venv $(VENV)/policy
	$(VENV)/policy/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/policy.txt
	@touch $@

# The same rules for the Prometheus operator; a test holds the two equal.
MONITORING := k8s/components/monitoring
monitoring-rule:
	@{ printf '# Made of rules.yml by `make monitoring-rule`.\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n'; \
	  printf 'metadata:\n  name: slipway\nspec:\n'; grep -v '^#' $(MONITORING)/rules.yml | sed 's/^\(.\)/  \1/'; \
	} > $(MONITORING)/prometheus-rule.yaml

# The tests that need Prometheus, apart, for whoever only changed rules or the dashboard.
monitoring-test: $(VENV)/.everything
	$(RUN) -m pytest tests/monitoring
