#!/bin/bash
# build.sh [mysql] [mariadb] [nats] [prometheus] [compose]
#
# Makes stand-ins for the official images, for a machine that has a container engine
# and no registry: the database servers and Prometheus from Debian's package mirror,
# the broker by the Go module proxy. compose is no image but the program of Compose v2,
# which Debian has, too. Without a word it is the first three. Names go to standard
# output, as variables for docker-compose.yml and the tests:
#
#   export $(deploy/local-images/build.sh)
#   docker-compose up
#
# An image that this recipe made before is left alone. What is fetched stays in
# ${XDG_CACHE_HOME:-$HOME/.cache}/binjet/images.
# Environment: MARIADB_SUITE (trixie: 11.8; bookworm: 10.11), NATS_VERSION (v2.15.2)
set -euo pipefail
here=$(dirname -- "$(realpath -- "$0")")
project=$(realpath -- "$here/../..")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/binjet/images
recipe=$(cat "$here"/*.sh "$project/internal/dbserver/scripts/get-server.sh" | sha256sum | cut -c1-16)
mkdir -p "$cache"

say() { echo "local-images: $*" >&2; }

# made NAME: whether this recipe made the image.
made() { [ "$(docker image inspect --format '{{index .Config.Labels "binjet.recipe"}}' "$1" 2>/dev/null)" = "$recipe" ]; }

# get DIR PROGRAM SUITE PACKAGE MORE EXTRAS STUBS: unpacks a server and its libraries.
get() {
  [ -e "$1/.complete" ] && return
  . /etc/os-release
  [ "${ID-}" = debian ] || { say "needs a Debian machine with its package mirror; elsewhere use the official images (BINJET_TEST_IMAGES=official)"; exit 3; }
  rm -rf "$1" "$1.new"; mkdir -p "$1.new"
  PROG=$2 SUITES=$3 PACKAGES=$4 MORE=$5 EXTRAS=$6 COMPONENTS=main CODENAME=$VERSION_CODENAME WANT='' STUBS=${7-} \
    KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg LC_ALL=C \
    bash "$project/internal/dbserver/scripts/get-server.sh" "$1.new" >&2
  mv "$1.new" "$1"
}

as_root() { [ "$(id -u)" != 0 ] || echo --user=root; }

# Two accounts without a password: the entrypoint gives them one.
accounts="CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;"

# init_mysql TREE DIR and init_mariadb TREE DIR make an empty data directory.
init_mysql() {
  echo "$accounts" >"$2/init.sql"
  "$1/bin/mysqld" --no-defaults $(as_root) --datadir="$2/data" --secure-file-priv= --mysqlx=OFF --innodb-redo-log-capacity=32M \
    --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=OFF --initialize-insecure --init-file="$2/init.sql" 2>&1
  rm "$2/data/auto.cnf" # each server makes a UUID of its own
}

init_mariadb() {
  local share=$1/root/usr/share/mariadb prefix=mariadb
  if [ -e "$1/root/usr/share/mysql/mysql_system_tables.sql" ]; then share=$1/root/usr/share/mysql prefix=mysql; fi
  mkdir "$2/data"
  { # the bootstrap parser wants one statement a line
    printf '%s\n' 'create database if not exists mysql;' 'use mysql;' 'set @auth_root_socket=NULL;'
    cat "$share/${prefix}_system_tables.sql" "$share/${prefix}_performance_tables.sql" "$share/${prefix}_system_tables_data.sql" \
      "$share/maria_add_gis_sp_bootstrap.sql" "$share/${prefix}_sys_schema.sql"
    printf '%s\n' 'flush privileges;' "$accounts"
  } | "$1/bin/mariadbd" --no-defaults $(as_root) --datadir="$2/data" --innodb-log-file-size=16M --bootstrap --silent-startup \
    --innodb-flush-log-at-trx-commit=0 2>&1
}

# server IMAGE TREE PROGRAM ADMIN SUITE PACKAGE MORE EXTRAS INIT
server() {
  made "$1" && return
  get "$2" "$3" "$5" "$6" "$7" "$8"
  say "making $1"
  local work; work=$(mktemp -d)
  if ! "$9" "$2" "$work" >"$work/log"; then cat "$work/log" >&2; rm -rf "$work"; return 1; fi
  RECIPE=$recipe bash "$here/mk-image.sh" "$2" "$work/data" "$1" "$3" "$4"
  rm -rf "$work"
}

mysql() {
  server binjet-local/mysql "$cache/mysql-sid" mysqld mysqladmin sid mysql-server-core 'mysql-client-core busybox-static' '' init_mysql
  echo BINJET_MYSQL_IMAGE=binjet-local/mysql
}

mariadb() {
  local suite=${MARIADB_SUITE:-trixie}
  server "binjet-local/mariadb:$suite" "$cache/mariadb-$suite" mariadbd mariadb-admin "$suite" mariadb-server-core \
    'mariadb-client busybox-static' usr/lib/mysql/plugin/ha_blackhole.so=mariadb-server init_mariadb
  echo "BINJET_MARIADB_IMAGE=binjet-local/mariadb:$suite"
}

nats() {
  local version=${NATS_VERSION:-v2.15.2} image
  image=binjet-local/nats:${version#v}
  if ! made "$image"; then
    say "making $image"
    mkdir -p "$cache/nats-$version"
    (cd "$cache" && GOFLAGS= CGO_ENABLED=0 GOBIN=$cache/nats-$version ${GO:-go} install -ldflags '-s -w' "github.com/nats-io/nats-server/v2@$version") >&2
    tar -C "$cache/nats-$version" -c nats-server | docker import --change 'ENTRYPOINT ["/nats-server"]' \
      --change 'EXPOSE 4222 8222' --change "LABEL binjet.recipe=$recipe" - "$image" >/dev/null
  fi
  echo "BINJET_NATS_IMAGE=$image"
}

# prometheus has the entrypoint, the user and the folders of the official image.
prometheus() {
  local image=binjet-local/prometheus tree=$cache/prometheus-sid
  if ! made "$image"; then
    get "$tree" prometheus sid prometheus '' '' promtool
    say "making $image"
    mkdir -p "$tree/root/prometheus"
    tar -C "$tree/root" --owner=65534 --group=65534 --exclude=./etc -c . | docker import --change 'ENTRYPOINT ["/bin/prometheus"]' \
      --change 'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]' \
      --change 'USER 65534:65534' --change 'WORKDIR /prometheus' --change 'VOLUME /prometheus' --change 'EXPOSE 9090' \
      --change "LABEL binjet.recipe=$recipe" - "$image" >/dev/null
  fi
  echo "BINJET_PROMETHEUS_IMAGE=$image"
}

compose() {
  get "$cache/compose-sid" docker-compose sid docker-compose '' '' ''
  echo "BINJET_COMPOSE_V2=$cache/compose-sid/bin/docker-compose"
}

exec 9>"$cache/lock"; flock 9 # one at a time
[ $# -gt 0 ] || set -- mysql mariadb nats
for what; do
  case $what in
  mysql | mariadb | nats | prometheus | compose) "$what" ;;
  *) echo "usage: $0 [mysql] [mariadb] [nats] [prometheus] [compose]" >&2; exit 2 ;;
  esac
done
