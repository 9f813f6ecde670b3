#!/usr/bin/env bash
# Builds binjet for each platform into dist/, the same bytes from the same commit:
# no paths, no times. PLATFORMS="linux/amd64" builds one only.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${VERSION:?give VERSION=v1.2.3}"
: "${COMMIT:=unknown}"
: "${GO:=go}"
: "${PLATFORMS:=linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}"
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)

rm -rf dist
for platform in $PLATFORMS; do
  name=binjet_${VERSION}_${platform/\//_}
  mkdir -p "dist/$name"
  echo "building $name"
  GOWORK=off CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} "$GO" build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" -o "dist/$name/binjet" ./cmd/binjet
  cp LICENSE README.md CHANGELOG.md "dist/$name/"
  tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -C dist -cf - "$name" | gzip -n >"dist/$name.tar.gz"
  rm -r "dist/$name"
done
(cd dist && sha256sum ./*.tar.gz | tee SHA256SUMS)
