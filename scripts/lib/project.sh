# shellcheck shell=bash
# Sourced by the scripts: where the checkout is, who its files belong to, and which Bun it uses.
# Through sudo, npm, Bun and the build run as the invoking user ("the owner"): root-owned node_modules would break his next build,
# and sudo's secure_path hides an npm that nvm put into his home. Only packages and namespaces are root's business.
set -euo pipefail
umask 022
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$ROOT"
SCRIPT=scripts/$(basename "$0")
PATH=$PATH:/usr/sbin:/sbin          # an ordinary user's PATH on Debian lacks them
unset BUN_BE_BUN                    # would turn dist/agent into a plain Bun

say() { printf '%s\n' "$SCRIPT: $*" >&2; }
die() { say "$*"; exit 1; }
wrong_usage() { say "$1"; sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
show_help() { sed -n '2,/^[^#]/{/^# shellcheck/d;s/^# \{0,1\}//p}' "$0"; exit 0; }

is_root() { [[ $EUID -eq 0 ]]; }
as_root() {
  if is_root; then "$@"; return; fi
  command -v sudo >/dev/null || die "this step needs root and there is no sudo: run $SCRIPT as root"
  sudo "$@"
}

# The owner: the user behind sudo if the checkout is his to write, otherwise whoever runs the script (empty = nobody to change to).
OWNER=
if is_root && [[ -n ${SUDO_USER:-} && $SUDO_USER != root ]] && runuser -u "$SUDO_USER" -- test -w "$ROOT"; then
  OWNER=$SUDO_USER
  OWNER_HOME=$(getent passwd "$OWNER" | cut -d: -f6)
fi
OWNER_ENVIRONMENT=()
as_owner() {
  if [[ -z $OWNER ]]; then "$@"; return; fi
  runuser -u "$OWNER" -- env "${OWNER_ENVIRONMENT[@]}" HOME="$OWNER_HOME" USER="$OWNER" LOGNAME="$OWNER" PATH="$PATH" "$@"
}
# load_owner_environment: from here on as_owner has the environment of the owner's own terminal, which sudo took away: PATH, HTTP
# proxy, certificates. Up to a second, so only for what uses the network. Interactive, because nvm is set up in ~/.bashrc; in a
# session of its own, so that the shell cannot stop us over the terminal.
load_owner_environment() {
  if [[ -z $OWNER ]] || ((${#OWNER_ENVIRONMENT[@]})); then return; fi
  local shell variable
  shell=$(getent passwd "$OWNER" | cut -d: -f7)
  while IFS= read -r -d '' variable; do
    case $variable in
      PATH=*) PATH=${variable#PATH=}:$PATH ;;
      PWD=* | OLDPWD=* | SHLVL=* | _=* | TERM=*) ;;
      *=*) OWNER_ENVIRONMENT+=("$variable") ;;
    esac
  done < <(runuser -u "$OWNER" -- env -i HOME="$OWNER_HOME" USER="$OWNER" LOGNAME="$OWNER" SHELL="$shell" TERM=dumb \
    PATH=/usr/local/bin:/usr/bin:/bin setsid -w "${shell:-/bin/sh}" -lic "printf '\\0'; env -0" </dev/null 2>/dev/null)
}

# use_bun: puts the pinned Bun first on PATH and sets BUN; 1 when it is nowhere.
use_bun() {
  local wanted candidate
  wanted=$(bun_version)
  for candidate in "$ROOT/.tools/node_modules/.bin/bun" "$(command -v bun || true)"; do
    if [[ -x $candidate && $(as_owner "$candidate" --version 2>/dev/null) == "$wanted" ]]; then
      BUN=$candidate; PATH=$(dirname "$candidate"):$PATH; export BUN PATH
      return 0
    fi
  done
  return 1
}
bun_version() { sed -n 's/.*"packageManager": *"bun@\([^"+]*\).*/\1/p' package.json; }

# ensure_bun: use_bun, installing it from npm under .tools when there is none of that version.
ensure_bun() {
  if use_bun; then return; fi
  load_owner_environment
  if use_bun; then return; fi
  local wanted; wanted=$(bun_version)
  command -v npm >/dev/null || die "neither Bun $wanted nor npm is on the PATH of ${OWNER:-$(id -un)}: install npm (apt-get install npm) and run it again"
  say "installing Bun $wanted from npm into .tools"
  as_owner mkdir -p .tools
  # A package of its own, entered: with --prefix, npm would overlook the machine's npmrc (registry, certificates).
  printf '{ "private": true }\n' | as_owner tee .tools/package.json >/dev/null
  (cd .tools && as_owner npm install --no-package-lock --no-audit --no-fund --no-update-notifier --loglevel=error "bun@$wanted" >&2)
  use_bun || die "npm installed bun@$wanted into .tools, but .tools/node_modules/.bin/bun does not run: see the messages above"
}

# ensure_modules: node_modules as bun.lock says; quiet when nothing changed.
ensure_modules() {
  local log
  if [[ ! node_modules -nt bun.lock || ! node_modules -nt package.json ]]; then load_owner_environment; fi
  log=$(as_owner "$BUN" install --frozen-lockfile 2>&1) || { printf '%s\n' "$log" >&2; die "bun install failed"; }
  if [[ $log != *"(no changes)"* ]]; then say "installed the packages of bun.lock"; fi
  if [[ -d node_modules ]]; then as_owner touch node_modules; fi
}
