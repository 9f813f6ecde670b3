#!/bin/sh
# MariaDB's image has a script of this name; its options are not needed here.
exec mariadb-admin ping -h 127.0.0.1 -uroot "-p${MARIADB_ROOT_PASSWORD-}" --silent
