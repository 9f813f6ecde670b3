// Package dbserver gets and runs throw-away MySQL, MariaDB and PostgreSQL servers:
// for the tests, for the quick-start example and for development on a laptop.
//
// # Why not simply a container
//
// The interesting tests kill, freeze and restart the database in the middle of
// a transaction. That wants a server that starts in a second, that is signalled
// directly, and whose files can be looked at; and it should work where there is
// no container registry to pull from, or no Docker at all. So a container is one
// way of five. [Start] takes the first of these that gives a server of the
// wanted flavour and version:
//
//  1. the program named by BINJET_TEST_MYSQLD, BINJET_TEST_MARIADBD or
//     BINJET_TEST_POSTGRES;
//  2. mysqld, mariadbd or postgres on PATH or in a system directory;
//  3. a server fetched earlier, in ${XDG_CACHE_HOME:-$HOME/.cache}/binjet;
//  4. Docker, with an image that is present already (BINJET_MYSQL_IMAGE and
//     BINJET_MARIADB_IMAGE, or the official image): nothing is ever pulled;
//  5. the package mirror that this Debian or Ubuntu machine is configured with:
//     the server package and its libraries (their own libc included) are
//     unpacked into the cache, and of MariaDB the BLACKHOLE engine, which lies in
//     another package. Nothing is installed and root is not needed.
//
// When none does, the error ([UnavailableError]) says for each why not.
//
// A caller may bring a way of its own ([Options.Launcher]); and [Given] is a server that
// somebody else runs.
//
// # What the server is like
//
// GTIDs and a row binlog with full images and full metadata, an empty data
// directory (copied from a template that is initialised once for each version),
// root without password, listening on 127.0.0.1 only. A transaction that was
// committed survives [Server.Kill]: redo log and binlog reach the operating
// system at every commit. Only with [Options.Durable] do they reach the disk.
//
// # PostgreSQL
//
// It is here for the inbox of a consumer, and used like the others:
//
//	s, err := dbserver.Start(ctx, dbserver.Options{Flavor: dbserver.PostgreSQL})
//	db, err := sql.Open("pgx", s.DSN("")) // superuser postgres, database postgres
//	err = s.Kill()                        // and all of its backends; then s.Restart(ctx)
//
// The initdb program has to be beside postgres; both are looked for in
// /usr/lib/postgresql/*/bin too. PostgreSQL refuses to run as root: of a root
// process it is a child with nobody's account, its data belongs to nobody, and
// what is fetched lies in /var/cache/binjet, since nobody can't look into root's
// home. With [Options.Dir] every directory above it has to be open to nobody.
// There is no Docker way.
//
// # Who ends it
//
// The server is a child of this process and does not outlive it, however this
// process ends: on Linux the kernel kills it (PR_SET_PDEATHSIG, which follows
// the thread that made the child, so that each child has a locked thread of its
// own); a container has a small guard process that waits for the end of a pipe.
// It is in a process group of its own, so Ctrl-C reaches the program first, which
// can then stop the database last.
//
// What a killed program does leave behind is the temporary directory. And an official
// image writes its accounts into the binlog; a server outside of a container starts
// with an empty one.
package dbserver
