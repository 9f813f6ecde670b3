#!/bin/bash
# mk-image.sh TREE DATA NAME PROGRAM ADMIN
#
# Makes a local image from a tree that get-server.sh made: PROGRAM, the client
# ADMIN, busybox for a shell, the libraries that they and the server's plugins link
# to, the server's share folder, an unprivileged user and the entrypoint. DATA is a
# freshly initialised data directory, which is baked in and which the entrypoint copies
# onto an empty volume.
set -euo pipefail
[ $# -eq 5 ] || { echo "usage: $0 TREE DATA NAME PROGRAM ADMIN" >&2; exit 2; }
tree=$(realpath -- "$1")/root data=$(realpath -- "$2") name=$3 program=$4 admin=$5
here=$(dirname -- "$(realpath -- "$0")")
r=$(mktemp -d); trap 'rm -rf -- "$r"' EXIT; chmod 755 "$r"
l=$(echo "$tree"/usr/lib/*-linux-gnu); ld=$(echo "$l"/ld-linux-*.so.*); lib=$r/usr/lib/${l##*/}

mkdir -p "$r"/usr/{bin,sbin,lib,lib64,share} "$lib" "$r"/{etc,proc,sys,dev,docker-entrypoint-initdb.d} "$r"/var/lib/{mysql,mysql-files} "$r/run/mysqld"
mkdir -m 1777 "$r/tmp"
for d in bin sbin lib lib64; do ln -s "usr/$d" "$r/$d"; done
ln -s ../run "$r/var/run"
[ ! -d "$tree/usr/lib64" ] || cp -a "$tree"/usr/lib64/. "$r/usr/lib64/"
cp -L "$ld" "$lib/"

cp -L "$tree/usr/bin/busybox" "$r/usr/bin/busybox"
for tool in sh cat sed cp chown; do ln -s busybox "$r/usr/bin/$tool"; done
cp -L "$tree/usr/sbin/$program" "$r/usr/sbin/"
cp -L "$tree/usr/bin/$admin" "$r/usr/bin/"
cp "$here/entrypoint.sh" "$here/healthcheck.sh" "$r/usr/bin/"
chmod 755 "$r"/usr/bin/*.sh
bins=("$r/usr/sbin/$program" "$r/usr/bin/$admin")
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
mkdir -p "$r/usr/share/first-data"
cp -a --sparse=always "$data/." "$r/usr/share/first-data/"
owner=(--owner=999 --group=999) # of a user who is not root all files are the server's
[ "$(id -u)" != 0 ] || { owner=(); chown -R 999:999 "$r"/var/lib/mysql* "$r/run/mysqld" "$r/usr/share/first-data"; }
tar -C "$r" "${owner[@]}" -c . | docker import --change 'ENV PATH=/usr/sbin:/usr/bin' --change "ENV PROGRAM=$program" \
  --change 'ENTRYPOINT ["entrypoint.sh"]' --change 'EXPOSE 3306' --change 'VOLUME /var/lib/mysql' \
  --change "LABEL binjet.recipe=${RECIPE-}" - "$name" >/dev/null
