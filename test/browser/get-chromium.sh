#!/bin/bash
# get-chromium.sh
#
# Prints the path of a Chromium or Chrome, and installs Debian's where there is none
# and this is root: from the package mirror that the machine is configured with.
# BINJET_TEST_CHROMIUM names one to use.  Standard error: what went wrong.
set -euo pipefail
find_one() {
  for p in "${BINJET_TEST_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable chrome headless-shell; do
    # Ubuntu's package is a script that asks for a snap, and no browser.
    if [ -n "$p" ] && command -v "$p" >/dev/null && "$p" --version >/dev/null 2>&1; then
      command -v "$p"
      return 0
    fi
  done
  return 1
}
find_one && exit 0
if [ -n "${BINJET_TEST_CHROMIUM:-}" ]; then echo "BINJET_TEST_CHROMIUM=$BINJET_TEST_CHROMIUM does not run" >&2; exit 3; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "there is no Chromium: install the package chromium, or set BINJET_TEST_CHROMIUM to one" >&2
  exit 3
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update >&2
# Several processes may want to install at once.
apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install chromium fonts-dejavu-core >&2
find_one || { echo "the package chromium was installed and does not run: set BINJET_TEST_CHROMIUM to one that does" >&2; exit 3; }
