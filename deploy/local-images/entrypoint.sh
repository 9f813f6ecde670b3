#!/bin/sh
# What the entrypoint of the official images does, as far as this project uses
# it: the password of root, a database, and /docker-entrypoint-initdb.d/*.sql (one
# statement a line). It is run at every start, so the SQL has to be repeatable; and
# it stays out of the binlog, which the official ones do not see to.
set -eu
case ${1-} in '' | -*) set -- "$PROGRAM" "$@" ;; esac
[ "$1" = "$PROGRAM" ] || exec "$@"

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
  for host in % localhost; do
    echo "ALTER USER root@'$host' IDENTIFIED BY '$(printf %s "$password" | sed "s/[\\\\']/\\\\&/g")';"
  done
} >/tmp/init.sql
exec "$@" --user=mysql --init-file=/tmp/init.sql
