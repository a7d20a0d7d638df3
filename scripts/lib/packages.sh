# shellcheck shell=bash
# Sourced after project.sh: Debian packages, installed only when what they bring is missing, and without starting their daemons.

# What each verb of the product needs, and what only the tests need. WHAT:PACKAGE, WHAT is a command or an absolute path.
# shellcheck disable=SC2034  # read by the scripts that source this file
RUN_PACKAGES=(iptables:iptables ip:iproute2 nsenter:util-linux setpriv:util-linux flock:util-linux)
# shellcheck disable=SC2034
TEST_PACKAGES=(
  curl:curl openssl:openssl nc:netcat-openbsd ps:procps ss:iproute2 capsh:libcap2-bin shellcheck:shellcheck
  nginx:nginx-light haproxy:haproxy wrk:wrk h2load:nghttp2-client promtool:prometheus
  gunicorn:gunicorn /usr/lib/python3/dist-packages/httpbin:python3-httpbin
  podman:podman conmon:conmon runc:runc catatonit:catatonit /usr/lib/podman/netavark:netavark debootstrap:debootstrap
)
DAEMONS=(nginx haproxy prometheus)

# ensure_packages WHAT:PACKAGE…
ensure_packages() {
  local pair what missing=()
  for pair; do
    what=${pair%%:*}
    case $what in
      /*) [[ -e $what ]] && continue ;;
      *) command -v "$what" >/dev/null && continue ;;
    esac
    missing+=("${pair##*:}")
  done
  if ((${#missing[@]} == 0)); then return; fi
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  command -v apt-get >/dev/null ||
    die "missing: ${missing[*]} (Debian's names), and this machine has no apt-get: install them with its own package manager"
  say "installing with apt-get: ${missing[*]}"
  apt_log update
  keep_daemons_down "${missing[@]}"
  apt_log install -y --no-install-recommends "${missing[@]}"
  let_daemons_be
}

# apt_log ARG…: apt-get, whose many lines are shown only when it fails. RUNLEVEL=1 keeps sysv's invoke-rc.d from starting services.
apt_log() {
  local log
  log=$(as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null) && return
  printf '%s\n' "$log" | tail -n 30 >&2
  # A third-party source that does not answer is no reason to stop: the install says what is really missing.
  [[ $1 == update ]] || die "apt-get $1 failed"
}

# Under systemd a package starts its service as soon as it is configured; a unit masked until the next boot is left alone.
# Only of packages that we install: a server somebody already runs is none of our business.
MASKED=()
keep_daemons_down() {
  [[ -d /run/systemd/system ]] || return 0
  local daemon
  for daemon in "${DAEMONS[@]}"; do
    if [[ " $* " == *" $daemon"* ]]; then MASKED+=("$daemon.service"); fi
  done
  if ((${#MASKED[@]})); then
    as_root systemctl mask --runtime --quiet "${MASKED[@]}"
    trap let_daemons_be EXIT
  fi
}
let_daemons_be() {
  if ((${#MASKED[@]} == 0)); then return; fi
  as_root systemctl unmask --runtime --quiet "${MASKED[@]}"
  as_root systemctl disable --quiet "${MASKED[@]}" 2>/dev/null || true
  MASKED=()
}
