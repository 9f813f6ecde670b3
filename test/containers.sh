#!/bin/bash
# containers.sh: what a container engine is needed for. Runs a part of the integration
# tests with the databases in containers, builds the project's own image, and runs
# docker-compose.yml end to end.
#
# The servers' images are stand-ins from Debian's package mirror and the Go module
# proxy (deploy/local-images), for which no registry is needed. With
# BINJET_TEST_IMAGES=official they are those that docker-compose.yml names, or the
# variables of your own.
# Everything that is started is removed, also when this is interrupted.
set -euo pipefail
cd "$(dirname -- "$(realpath -- "$0")")/.."
docker version >/dev/null || { echo "containers.sh: no container engine answers (docker version)" >&2; exit 1; }

run=binjet-test-$$-$RANDOM # in the name of whatever is started
export BINJET_TEST_COMPOSE_PROJECT=$run
export BINJET_TEST_RUN=$run BINJET_IMAGE=$run:binjet BINJET_SHOP_IMAGE=$run:shop

child=
clean() {
  [ -z "$child" ] || { kill "$child" 2>/dev/null && wait "$child" || true; }
  docker ps -aq --filter "label=binjet.test=$run" | xargs -r docker rm -fv >/dev/null
  for name in mysql mariadb; do
    local of=(--filter "label=com.docker.compose.project=$run-$name")
    docker ps -aq "${of[@]}" | xargs -r docker rm -fv >/dev/null
    docker volume ls -q "${of[@]}" | xargs -r docker volume rm >/dev/null
    docker network ls -q "${of[@]}" | xargs -r docker network rm >/dev/null
  done
  docker rmi -f "$BINJET_IMAGE" "$BINJET_SHOP_IMAGE" >/dev/null 2>&1 || true
}
trap clean EXIT
trap 'exit 130' INT TERM

# In the background, since a trap waits for what is in the foreground.
go_on() { "$@" & child=$!; wait "$child"; child=; }

if [ "${BINJET_TEST_IMAGES-}" != official ]; then
  images=$(mktemp)
  go_on deploy/local-images/build.sh mysql mariadb nats prometheus compose >"$images"
  export $(cat "$images")
  rm "$images"
  export BINJET_TEST_MYSQL_IMAGE=$BINJET_MYSQL_IMAGE BINJET_TEST_MARIADB_IMAGE=$BINJET_MARIADB_IMAGE BINJET_TEST_NATS_IMAGE=$BINJET_NATS_IMAGE
  export TESTCONTAINERS_RYUK_DISABLED=true # it is an image of its own
fi
go_on make -s image IMAGE="$BINJET_IMAGE" SHOP_IMAGE="$BINJET_SHOP_IMAGE"
cd test
BINJET_TEST_BACKEND=containers go_on "${GO:-go}" test -count=1 -timeout 10m -run '^TestDBServer(Lifecycle|Settings|Program)$' .
BINJET_TEST_BACKEND=containers go_on "${GO:-go}" test -count=1 -timeout 10m ./produce
go_on "${GO:-go}" test -tags containers -count=1 -timeout 10m -v ./compose
