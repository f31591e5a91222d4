#!/usr/bin/env bash
# Pins every extra of pyproject.toml, with hashes and without any index address, so that all
# files agree on each version. Run by `make lock`; give --upgrade to take newer releases.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
compile() {
  "$uv" pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-find-links \
    --custom-compile-command 'make lock' "$@"
}
extras="gateway modelserver openvino training tfds otel load store clients dev"
everything=$(mktemp)
trap 'rm -f "$everything"' EXIT
for extra in $extras; do cat "requirements/$extra.txt" 2>/dev/null || true; done > "$everything"     # keeps today's pins
compile --all-extras "$@" --output-file "$everything" pyproject.toml
for extra in $extras; do
  compile --extra "$extra" --constraint "$everything" --output-file "requirements/$extra.txt" pyproject.toml
done
# checkov pins what it needs so tightly that it gets an environment of its own; see `make k8s-test`.
compile "$@" --output-file requirements/policy.txt requirements/policy.in
