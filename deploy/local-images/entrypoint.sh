#!/bin/sh
# What the entrypoint of the official images does, as far as this project uses
# it: the password of root, a database, and /docker-entrypoint-initdb.d/*.sql (one
# statement a line). It is run at every start, so the SQL has to be repeatable; and
# it stays out of the binlog, which the official ones do not see to.
set -eu
case ${1-} in '' | -*) set -- "$PROGRAM" "$@" ;; esac
[ "$1" = "$PROGRAM" ] || exec "$@"

# The data directory may be a volume or a directory of the host's.
if [ ! -d /var/lib/mysql/mysql ]; then
  cp -a /usr/share/first-data/. /var/lib/mysql/
  chown mysql:mysql /var/lib/mysql
fi

password=${MARIADB_ROOT_PASSWORD-${MYSQL_ROOT_PASSWORD-}}
database=${MARIADB_DATABASE-${MYSQL_DATABASE-}}
if [ -z "$password${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD-}${MYSQL_ALLOW_EMPTY_PASSWORD-}" ]; then
  echo "set MYSQL_ROOT_PASSWORD (MARIADB_ROOT_PASSWORD), or MYSQL_ALLOW_EMPTY_PASSWORD (MARIADB_ALLOW_EMPTY_ROOT_PASSWORD)" >&2
  exit 1
fi
{
  echo "SET sql_log_bin = 0;"
  [ -z "$database" ] || echo "CREATE DATABASE IF NOT EXISTS \`$database\`;"
  for f in /docker-entrypoint-initdb.d/*.sql; do
    [ ! -e "$f" ] || cat "$f"
  done
  for host in % localhost 127.0.0.1 ::1; do
    echo "ALTER USER IF EXISTS root@'$host' IDENTIFIED BY '$(printf %s "$password" | sed "s/[\\\\']/\\\\&/g")';"
  done
  for arg; do # the caller's own, which ours would replace
    case $arg in --init-file=*) echo "SET sql_log_bin = 1;"; cat "${arg#*=}" ;; esac
  done
} >/tmp/init.sql
exec "$@" --user=mysql --init-file=/tmp/init.sql
