# The images of Slipway, one target each:
#
#   gateway      HTTP for people, in front of any model server; neither TensorFlow nor OpenVINO
#   modelserver  the embedded model server and the gateway, on CPUs by OpenVINO; no TensorFlow
#   training     data in, a published version out
#   load         Locust and the clients
#
#   docker build --target gateway --tag slipway-gateway:0.1.0 .
#
# The base is pinned by its tag; PYTHON_DIGEST=@sha256:... pins it to the byte. Every package is pinned by its
# hashes in requirements/. Packages are unpacked in stages of their own: what pip needs stays out of the images.
ARG PYTHON_TAG=3.11.14-slim-bookworm
ARG PYTHON_DIGEST=
FROM docker.io/library/python:${PYTHON_TAG}${PYTHON_DIGEST} AS python

# ---- packages

FROM python AS venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_REQUIRE_HASHES=1 PIP_ONLY_BINARY=:all:
WORKDIR /build
RUN python -m venv --without-pip /opt/venv

# Tests, headers and sources of packages are never run.
FROM venv AS gateway-venv
COPY requirements/gateway.txt requirements/store.txt requirements/otel.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install --quiet -r gateway.txt -r store.txt -r otel.txt \
 && find /opt/venv -depth \( -type d \( -name tests -o -name include \) -o -name '*.pyx' -o -name '*.pyi' \) -exec rm -rf {} +

# OpenVINO computes on the CPU here, from SavedModels and its own format.
FROM gateway-venv AS modelserver-venv
COPY requirements/modelserver.txt requirements/openvino.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install --quiet -r modelserver.txt -r openvino.txt \
 && openvino=/opt/venv/lib/python3.11/site-packages/openvino \
 && rm -rf "$openvino/include" "$openvino/cmake" "$openvino"/libs/cache.json "$openvino"/libs/libopenvino_intel_[gn]pu_plugin.so \
 && find /opt/venv -depth \( -type d -name tests -o -name '*.pyx' -o -name '*.pyi' \) -exec rm -rf {} +

FROM venv AS load-venv
COPY requirements/load.txt requirements/clients.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /opt/venv/bin/python install --quiet -r load.txt -r clients.txt \
 && find /opt/venv -depth \( -type d -name tests -o -name '*.pyx' -o -name '*.pyi' \) -exec rm -rf {} +

# ---- images

# The numeric user needs no entry in /etc/passwd; whatever wants to write finds /tmp.
FROM python AS slipway
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Slipway" \
      org.opencontainers.image.description="Train image and text classifiers, serve them, watch them, deploy them." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /opt/slipway
RUN mkdir --mode=0755 /models /runs && chown 65532:65532 /models /runs
# `python -m` itself is process 1, so SIGTERM reaches it.
ENTRYPOINT ["python", "-m"]

FROM slipway AS gateway
COPY --from=gateway-venv /opt/venv /opt/venv
COPY serving serving
RUN python -m compileall -q serving
ENV GATEWAY_HOST=0.0.0.0
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-m", "serving.healthcheck"]
CMD ["serving.gateway"]

# As it stands it serves all models of /models on every port; `serving.modelserver --flags` is the server alone.
FROM slipway AS modelserver
COPY --from=modelserver-venv /opt/venv /opt/venv
COPY serving serving
RUN python -m compileall -q serving
USER 65532:65532
EXPOSE 8080 8500 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "serving.healthcheck"]
CMD ["serving", "--models", "/models", "--host", "0.0.0.0"]

# Its packages are too large to be copied from a stage of their own, and start too seldom to be compiled ahead.
# Without tfds: a package that it needs comes as source only, and nothing is built here.
FROM slipway AS training
COPY requirements/training.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
 && /usr/local/bin/python -m pip --python /opt/venv/bin/python install --quiet --disable-pip-version-check --root-user-action=ignore \
    --require-hashes --only-binary=:all: --no-compile -r requirements/training.txt \
 && find /opt/venv -depth -type d -name include -exec rm -rf {} +
COPY serving serving
COPY training training
RUN python -m compileall -q serving training
ENV MPLCONFIGDIR=/tmp TF_CPP_MIN_LOG_LEVEL=2
USER 65532:65532
CMD ["training", "list"]

FROM slipway AS load
COPY --from=load-venv /opt/venv /opt/venv
COPY serving serving
COPY clients clients
# Pictures to send where nobody has any.
COPY training/__init__.py training/sample_pictures.py training/
COPY tests/__init__.py tests/processes.py tests/
COPY tests/bench tests/bench
COPY tests/load tests/load
RUN python -m compileall -q serving clients training tests
USER 65532:65532
EXPOSE 8089
CMD ["locust", "-f", "tests/load/locustfile.py", "--class-picker"]
