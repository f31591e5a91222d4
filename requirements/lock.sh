#!/usr/bin/env bash
# Pins every extra of pyproject.toml, with hashes and without any index address, so that all
# files agree on each version. Run by `make lock`; give --upgrade to take newer releases.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
compile() {
  "$uv" pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-find-links \
    --custom-compile-command 'make lock' "$@" pyproject.toml
}
everything=$(mktemp)
trap 'rm -f "$everything"' EXIT
cat requirements/*.txt > "$everything" 2>/dev/null || true     # keeps today's pins where they still fit
compile --all-extras "$@" --output-file "$everything"
for extra in gateway modelserver openvino training tfds otel load store clients dev; do
  compile --extra "$extra" --constraint "$everything" --output-file "requirements/$extra.txt"
done
