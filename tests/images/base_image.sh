#!/usr/bin/env bash
# Makes a stand-in for the public Python image that the Dockerfile starts from, where no image registry can be
# reached: Debian's own Python 3.11 under the names that the public image has. Only tests build on it.
# usage: base_image.sh IMAGE_NAME      needs mmdebstrap and podman; some 30 s and 250 MB
set -euo pipefail
name=$1
if podman image exists "$name" || timeout 60 podman pull --quiet "$name" 2> /dev/null; then exit 0; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/as-the-public-image" <<'HOOK'
#!/bin/sh
set -e
rm -f "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED
for name in python python3 python3.11; do ln -s /usr/bin/python3.11 "$1/usr/local/bin/$name"; done
ln -s /usr/bin/pip3 "$1/usr/local/bin/pip"
HOOK
chmod +x "$folder/as-the-public-image"
mmdebstrap --quiet --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates,netbase,tzdata \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --customize-hook="$folder/as-the-public-image" bookworm "$folder/image.tar"
podman import --quiet --change 'CMD ["python3"]' "$folder/image.tar" "$name"
