#!/usr/bin/env bash
# Installs what a client of test/clients/run.ts needs, when it is missing: install.sh NAME
set -euo pipefail

from_apt() {
  local command=$1 package=$2
  if command -v "$command" >/dev/null; then return; fi
  if ! command -v apt-get >/dev/null; then
    echo "install.sh: $command is missing and there is no apt-get here; install it by hand" >&2
    exit 1
  fi
  local -a as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      echo "install.sh: $command is missing; run as root: apt-get install $package" >&2
      exit 1
    fi
    as_root=(sudo -n)
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null
  command -v "$command" >/dev/null || { echo "install.sh: $package brought no $command" >&2; exit 1; }
}

case "${1:-}" in
  kcat) from_apt kcat kcat ;;
  *)
    echo "usage: install.sh kcat" >&2
    exit 2
    ;;
esac
