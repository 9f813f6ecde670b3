#!/bin/bash
# get-server.sh DIR
#
# Unpacks a database server and its library closure (its own libc included) into
# the empty directory DIR, from the package mirror that this machine is
# configured with but from any suite of it.  dpkg installs nothing and root is
# not needed.  DIR/bin gets one wrapper per program, which starts it through that
# tree's own ld.so, so DIR can be moved.  DIR/.complete, with the version that
# the server prints, is written last.
#
# Standard output: lines for the user.  Standard error: what went wrong.
# Environment:
#   PROG        the server's program: mysqld, mariadbd, postgres; or another one
#   PACKAGES    names of its package; the first that exists is taken
#   EXTRAS      FILE=PACKAGE[,PACKAGE…]: files that are taken from another package, the first of
#               these that exists, without what that depends on ("" = none)
#   SUITES      suites of the mirror
#   COMPONENTS  their components
#   CODENAME    this system's own suite, by which its mirror is recognised
#   KEYRING     keys that sign the suites
#   WANT        version or beginning of one that it has to be ("" = any)
#   STUBS       packages that it does not need in order to run
#   MORE        more packages, with what they depend on (default: none)
#   URI         another mirror than this machine's own
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
w=$(realpath -- "$1")
for t in apt-get apt-cache dpkg dpkg-deb tar; do
  command -v "$t" >/dev/null || { echo "needs $t" >&2; exit 3; }
done

# The mirror the system itself uses: that of its own suite (not the one for
# security updates, which has no other suites; not that of some other project).
uri=${URI-}
[ -n "$uri" ] || uri=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
  awk -v c="$CODENAME" '$1 == c && !n++ {print $2}')
[ -n "$uri" ] || uri=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
  awk '$1 !~ /security/ && $2 !~ /security/ && !n++ {print $2}')
[ -n "$uri" ] || { echo "apt has no package mirror configured" >&2; exit 3; }
arch=$(dpkg --print-architecture)
signed=; [ ! -r "$KEYRING" ] || signed="Signed-By: $KEYRING"

mkdir -p "$w/apt/lists/partial" "$w/apt/cache/archives/partial" "$w/root" "$w/bin"
cat >"$w/apt/src.sources" <<S
Types: deb
URIs: $uri
Suites: $SUITES
Components: $COMPONENTS
Architectures: $arch
$signed
S
# An invented list of installed packages: only what maintainer scripts and helper
# scripts want, so that perl and the like are not fetched.
for p in perl perl-base debconf mysql-common mariadb-common adduser passwd systemd $STUBS; do
  printf 'Package: %s\nStatus: install ok installed\nArchitecture: %s\nMulti-Arch: allowed\nVersion: 99:99\nMaintainer: none\nDescription: stub\n\n' "$p" "$arch"
done >"$w/apt/status"
# -c is read behind the system's own configuration, whose proxy settings stay; so
# it can also drop the system's hooks, which would act outside of DIR.
cat >"$w/apt/apt.conf" <<S
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke-Stats;
#clear DPkg::Post-Invoke;
Dir::State::Lists "$w/apt/lists";
Dir::State::status "$w/apt/status";
Dir::Cache "$w/apt/cache";
Dir::Log "$w/apt";
Dir::Etc::sourcelist "$w/apt/src.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Install-Recommends "false";
APT::Get::List-Cleanup "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Check-Date "false";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
S
echo "reading the package lists of $SUITES"
apt-get -c "$w/apt/apt.conf" -qq update >&2

# first_of PACKAGE...: sets pkg and version to those of the first that the mirror has.
first_of() {
  for pkg in "$@"; do
    version=$(apt-cache -c "$w/apt/apt.conf" --no-all-versions show "$pkg" 2>/dev/null | sed -n 's/^Version: //p' | head -n1) || true
    [ -z "$version" ] || return 0
  done
  echo "the mirror has none of: $* ($SUITES)" >&2
  exit 4
}
first_of $PACKAGES
v=${version#*:}
case ${v%%[!0-9.]*}. in
"${WANT:+$WANT.}"*) ;;
*) echo "the mirror has $pkg $v, not $WANT ($SUITES)" >&2; exit 4 ;;
esac
read -r count size < <(apt-get -c "$w/apt/apt.conf" -qq -y --print-uris install "$pkg" ${MORE-} |
  awk '{n++; s += $3} END {print n + 0, int(s / 1000000 + 1)}')
echo "fetching $pkg $v with its libraries ($count packages, $size MB, once)"
# --download-only resolves the whole closure but installs nothing.
apt-get -c "$w/apt/apt.conf" -qq -y --download-only install "$pkg" ${MORE-} >&2
for e in $EXTRAS; do
  first_of $(tr , ' ' <<<"${e#*=}")
  echo "fetching ${e%%=*} of $pkg $version"
  mkdir -p "$w/apt/extras/${e%%=*}"
  (cd "$w/apt/extras/${e%%=*}" && apt-get -c "$w/apt/apt.conf" -qq download "$pkg=$version" >&2)
done

echo "unpacking"
for d in "$w"/apt/cache/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$d" | tar -x -C "$w/root" --no-same-owner --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
    --exclude='./usr/share/locale/*' --exclude='./usr/share/lintian/*' --exclude='./usr/share/bug/*' --exclude='./usr/share/info/*' \
    --exclude='./usr/lib/*/gconv/*' --exclude='./usr/lib/systemd/*' --exclude='./lib/systemd/*'
  dpkg-deb -f "$d" Package Version | paste -sd' '
done | sed 's/Package: //;s/Version: //' >"$w/packages.txt"
r=$w/root
for e in $EXTRAS; do
  dpkg-deb --fsys-tarfile "$w/apt/extras/${e%%=*}"/*.deb | tar -x -C "$r" --no-same-owner "./${e%%=*}"
done
# merged-/usr links, so that the same tree also serves for an image
for l in bin sbin lib lib64; do
  if [ -d "$r/$l" ] && [ ! -L "$r/$l" ]; then mkdir -p "$r/usr/$l"; cp -a "$r/$l/." "$r/usr/$l/"; rm -rf "${r:?}/$l"; fi
  [ ! -d "$r/usr/$l" ] || ln -sfn "usr/$l" "$r/$l"
done

for f in "$r"/usr/sbin/* "$r"/usr/bin/* "$r"/usr/libexec/docker/cli-plugins/*; do
  [ -f "$f" ] && [ "$(head -c4 "$f" | tail -c3)" = ELF ] || continue
  cat >"$w/bin/${f##*/}" <<'W'
#!/bin/sh
# Runs the program of this name from ../root with that tree's own libc.
n=${0##*/}
d=$(dirname -- "$(readlink -f -- "$0")")/../root && d=$(cd -- "$d" && pwd -P)
for l in "$d"/usr/lib/*-linux-gnu; do [ -e "$l/libc.so.6" ] && break; done
for i in "$l"/ld-linux-*.so.*; do break; done
for p in "$d/usr/sbin/$n" "$d/usr/bin/$n" "$d/usr/libexec/docker/cli-plugins/$n"; do [ -e "$p" ] && break; done
case $n in
mysqld|mariadbd)
  # --basedir must come behind the options that have to be first.
  case ${1-} in
  --no-defaults|--defaults-file=*|--defaults-extra-file=*)
    f=$1; shift; exec "$i" --library-path "$l" "$p" "$f" --basedir="$d/usr" "$@" ;;
  *) exec "$i" --library-path "$l" "$p" --no-defaults --basedir="$d/usr" "$@" ;;
  esac ;;
esac
exec "$i" --library-path "$l" "$p" "$@"
W
  chmod 755 "$w/bin/${f##*/}"
done
# PostgreSQL finds its files, and initdb its postgres, from where it is itself. So
# the wrappers are there, and the programs beside them.
for f in "$r"/usr/lib/postgresql/*/bin/{postgres,initdb}; do
  [ -f "$f" ] || continue
  mv "$f" "$f.elf"
  cat >"$f" <<'W'
#!/bin/sh
# Runs the program beside it with this tree's own libc.
p=$(readlink -f -- "$0")
for l in "${p%/usr/lib/postgresql/*}"/usr/lib/*-linux-gnu; do [ -e "$l/libc.so.6" ] && break; done
for i in "$l"/ld-linux-*.so.*; do break; done
exec "$i" --library-path "$l" "$p.elf" "$@"
W
  chmod 755 "$f"
  ln -s "../root/${f#"$r"/}" "$w/bin/${f##*/}"
done
"$w/bin/$PROG" --version >"$w/version" || { echo "$PROG does not run on this system" >&2; exit 5; }
rm -rf "$w/apt"
mv "$w/version" "$w/.complete"
