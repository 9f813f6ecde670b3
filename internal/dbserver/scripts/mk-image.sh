#!/bin/bash
# mk-image.sh TREE NAME PROG
#
# Makes a local Docker image, without any registry, from a tree that
# get-server.sh made: for trying the Docker way where nothing can be pulled.
# Only PROG, the libraries that it and its plugins link to, its share folder and
# an unprivileged user go in.
# DATA=dir bakes a ready data directory in (the "data" of a template in the
# cache), for the image has no entrypoint script that would make one.
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: [DATA=dir] $0 TREE NAME PROG" >&2; exit 2; }
tree=$(realpath -- "$1")/root name=$2 prog=$3
r=$(mktemp -d); trap 'rm -rf -- "$r"' EXIT; chmod 755 "$r"
l=$(echo "$tree"/usr/lib/*-linux-gnu); ld=$(echo "$l"/ld-linux-*.so.*); lib=$r/usr/lib/${l##*/}

mkdir -p "$r"/usr/{bin,sbin,lib,lib64,share} "$lib" "$r"/{etc,proc,sys,dev,run,var/lib/mysql}
mkdir -m 1777 "$r/tmp"
for d in bin sbin lib lib64; do ln -s "usr/$d" "$r/$d"; done
[ ! -d "$tree/usr/lib64" ] || cp -a "$tree"/usr/lib64/. "$r/usr/lib64/"
cp -L "$ld" "$lib/"

cp -a "$tree/usr/sbin/$prog" "$r/usr/sbin/"
bins=("$tree/usr/sbin/$prog")
if [ -d "$tree/usr/lib/mysql" ]; then
  cp -a "$tree/usr/lib/mysql" "$r/usr/lib/"
  rm -f "$r"/usr/lib/mysql/plugin/{group_replication,component_telemetry,telemetry_client,authentication_webauthn,libpluginmecab,component_mysqlbackup}*.so
  bins+=("$r"/usr/lib/mysql/plugin/*.so)
fi
for b in "${bins[@]}"; do
  "$ld" --library-path "$l" --list "$b" 2>/dev/null | awk '$3 ~ /^\// {print $3}'
done | sort -u | while read -r f; do cp -L "$f" "$lib/${f##*/}"; done
for s in mysql mariadb; do
  [ -d "$tree/usr/share/$s" ] || continue
  mkdir -p "$r/usr/share/$s"
  for f in "$tree/usr/share/$s"/{charsets,english,*.sql,*.txt}; do
    [ ! -e "$f" ] || cp -a "$f" "$r/usr/share/$s/"
  done
done

printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'mysql:x:999:999::/var/lib/mysql:/bin/false' >"$r/etc/passwd"
printf '%s\n' 'root:x:0:' 'mysql:x:999:' >"$r/etc/group"
echo 'hosts: files dns' >"$r/etc/nsswitch.conf"
[ -z "${DATA-}" ] || cp -a --sparse=always "$DATA/." "$r/var/lib/mysql/"
owner=(); [ "$(id -u)" = 0 ] || owner=(--owner=999 --group=999)
[ "$(id -u)" != 0 ] || chown -R 999:999 "$r/var/lib/mysql"
tar -C "$r" "${owner[@]}" -c . | docker import --change 'ENV PATH=/usr/sbin:/usr/bin' \
  --change "ENTRYPOINT [\"$prog\",\"--no-defaults\",\"--user=mysql\",\"--datadir=/var/lib/mysql\",\"--socket=/tmp/m.sock\",\"--pid-file=/tmp/m.pid\"]" \
  --change 'EXPOSE 3306' - "$name"
docker image inspect --format '{{.Size}} bytes' "$name"
