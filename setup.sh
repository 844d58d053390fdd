#!/usr/bin/env bash
# Brings to a Debian 12 machine what Twofold needs beside rustup and a nightly.
# Leaves out rustup itself. Run it as often as you like: what is there is left
# alone, and nothing is downloaded or compiled to find that out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly TARGET=aarch64-unknown-none-softfloat
readonly OLDEST_QEMU=7.2
readonly DEBIAN_CORE=(rustc-web cargo-web rust-web-src)

usage() {
  cat <<'END'
Usage: ./setup.sh [--ci]

Installs what is missing, with apt-get (as root, or through sudo), rustup and cargo:
  a C++ compiler, QEMU for Arm, cargo-fuzz, and an AArch64 `core` for the image.
With --ci also what .ci/run needs:
  valgrind, clippy, rustfmt, the stable toolchain.

TWOFOLD_IMAGE_TOOLCHAIN says where the image's `core` comes from:
  rustup    the target of the nightly in use
  debian    Debian's rustc-web, cargo-web and rust-web-src
  (unset)   whichever is there; else rustup's if it can be had, else Debian's

Exit codes: 0 all is there, 2 wrong usage, 3 something could not be had.
END
}

say() { printf '%-11s %s\n' "$1" "$2"; }

wrong_usage() {
  printf 'setup.sh: %s\n' "$1" >&2
  exit 2
}

fail() {
  printf 'setup.sh: %s\n' "$1" >&2
  exit 3
}

# Runs a command silently. When it fails, `reason` is the line that says why.
attempt() {
  "$@" >"$log" 2>&1 </dev/null && return 0
  local code=$?
  reason=$(grep -m 1 -E '^(E:|[Ee]rror|sudo:)' "$log" || tail -n 1 "$log")
  [ "$code" != 124 ] || reason="no answer in time"
  : "${reason:="exit code $code"}"
  [ ${#reason} -le 160 ] || reason="${reason:0:160}…"
  return 1
}

# Ends after a failed attempt: the command's last lines, then the sentence.
fail_attempt() {
  tail -n 20 "$log" | sed 's/^/    /' >&2
  fail "$1: $reason"
}

# --- checks -----------------------------------------------------------------
# Each sets `found` and succeeds, or sets `problem` and fails.

# The versions of Debian packages that are installed completely.
read_packages() {
  packages=()
  local name status version
  while read -r name status version; do
    if [ "$status" = installed ]; then packages[$name]=$version; fi
  done < <(dpkg-query -W -f '${Package} ${db:Status-Status} ${Version}\n' \
    "${DEBIAN_CORE[@]}" rust-web-clippy 2>/dev/null)
}

check_cxx() {
  problem="there is no c++ in PATH"
  found="C++ compiler"
  command -v c++ >/dev/null
}

check_qemu() {
  local name=qemu-system-aarch64 version
  problem="there is no $name in PATH"
  command -v "$name" >/dev/null || return 1
  version=$("$name" --version 2>&1) || true
  problem="$(command -v "$name") does not tell its version"
  [[ $version =~ version\ ([0-9]+)\.([0-9]+) ]] || return 1
  found="QEMU ${BASH_REMATCH[1]}.${BASH_REMATCH[2]}"
  problem="$(command -v "$name") is $found, and $OLDEST_QEMU is the oldest that works"
  at_least "${BASH_REMATCH[1]}.${BASH_REMATCH[2]}" "$OLDEST_QEMU"
}

check_valgrind() {
  problem="there is no valgrind in PATH"
  found=valgrind
  command -v valgrind >/dev/null
}

# Compares versions of the form major.minor.
at_least() {
  local major=${1%%.*} minor=${1#*.}
  ((major > ${2%%.*} || (major == ${2%%.*} && minor >= ${2#*.})))
}

check_rustup_core() {
  local lib=$sysroot/lib/rustlib
  found="AArch64 core: $TARGET of $toolchain"
  problem="$toolchain has no $TARGET"
  compgen -G "$lib/$TARGET/lib/libcore-*.rlib" >/dev/null || return 1
  # rustup lists a component last, so one that was broken off is not listed.
  [ ! -e "$lib/components" ] || grep -qx "rust-std-$TARGET" "$lib/components"
}

check_debian_core() {
  local package version=${packages[rustc-web]:-}
  for package in "${DEBIAN_CORE[@]}"; do
    problem="Debian's $package is not installed"
    [ -n "${packages[$package]:-}" ] || return 1
    problem="Debian's $package and rustc-web have different versions"
    [ "${packages[$package]}" = "$version" ] || return 1
  done
  [[ $version =~ ^([0-9]+\.[0-9]+) ]] || return 1
  found="AArch64 core: Debian's rustc-web ${BASH_REMATCH[1]}"
  problem="Debian's rustc-web is ${BASH_REMATCH[1]}, and $oldest_rust is the oldest that works: is bookworm-security among the apt sources?"
  at_least "${BASH_REMATCH[1]}" "$oldest_rust"
}

check_debian_clippy() {
  found="clippy for Debian's rustc-web"
  problem="Debian's rust-web-clippy is not installed in the version of its rustc-web"
  [ "${packages[rust-web-clippy]:-none}" = "${packages[rustc-web]:-}" ]
}

check_linker() {
  found="linker for the image"
  problem="there is neither a rust-lld in $toolchain nor an ld.lld in PATH"
  compgen -G "$sysroot/lib/rustlib/*/bin/rust-lld" >/dev/null || command -v ld.lld >/dev/null
}

# --- Rust -------------------------------------------------------------------

find_rust() {
  command -v rustup >/dev/null ||
    fail "there is no rustup in PATH: install it with a nightly, open a new shell and run this again"
  check_shadow
  local rustc
  rustc=$(RUSTUP_AUTO_INSTALL=0 rustup which rustc 2>/dev/null) ||
    fail "the toolchain that rust-toolchain.toml names is not installed: run 'rustup toolchain install nightly'"
  sysroot=${rustc%/bin/rustc}
  toolchain=${sysroot##*/}
  case $toolchain in
    stable* | beta* | [0-9]*)
      fail "the toolchain in use is $toolchain, and fuzzing needs a nightly: is RUSTUP_TOOLCHAIN set, or an override?" ;;
  esac
  oldest_rust=$(sed -n 's/^rust-version = "\([0-9]*\.[0-9]*\).*/\1/p' Cargo.toml)
}

# Debian's packages bring a /usr/bin/cargo that must stay behind rustup's.
check_shadow() {
  local cargo
  cargo=$(command -v cargo) || fail "there is no cargo in PATH, though there is a rustup"
  [ "$cargo" -ef "$(command -v rustup)" ] ||
    fail "$cargo hides rustup's cargo: put ${CARGO_HOME:-~/.cargo}/bin first in PATH"
}

# When this fails, `reason` says why rustup's own `core` cannot be had.
add_rustup_core() {
  say installing "$TARGET for $toolchain"
  attempt timeout -k 10 180 rustup target add --toolchain "$toolchain" "$TARGET" || return 1
  if ! check_rustup_core; then
    reason="rustup reported success, but $problem"
    return 1
  fi
  say installed "$found"
}

want_debian_core() {
  image=debian
  want check_debian_core "${DEBIAN_CORE[@]}"
  want check_linker lld
}

want_image_core() {
  local way=${TWOFOLD_IMAGE_TOOLCHAIN:-any}
  image=rustup
  if [ "$way" != debian ] && check_rustup_core; then
    say present "$found"
  elif [ "$way" = debian ] || { [ "$way" = any ] && check_debian_core; }; then
    want_debian_core
  elif ! add_rustup_core; then
    [ "$way" = any ] || fail_attempt "rustup could not add $TARGET to $toolchain"
    say "not had" "rustup's $TARGET ($reason); Debian's rustc-web instead"
    want_debian_core
  fi
}

want_cargo_fuzz() {
  if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo-fuzz" ] || command -v cargo-fuzz >/dev/null; then
    say present cargo-fuzz
    return
  fi
  say installing "cargo-fuzz (compiles for a minute or two)"
  attempt cargo install cargo-fuzz --locked || fail_attempt "cargo could not install cargo-fuzz"
  say installed cargo-fuzz
}

want_stable() {
  if RUSTUP_AUTO_INSTALL=0 rustup which --toolchain stable rustc >/dev/null 2>&1; then
    say present "stable toolchain"
    return
  fi
  say installing "stable toolchain"
  attempt timeout -k 10 600 rustup toolchain install stable --profile minimal ||
    fail_attempt "rustup could not install the stable toolchain"
  say installed "stable toolchain"
}

want_components() {
  local components="clippy and rustfmt of $toolchain"
  if [ -x "$sysroot/bin/cargo-clippy" ] && [ -x "$sysroot/bin/cargo-fmt" ]; then
    say present "$components"
    return
  fi
  say installing "$components"
  attempt timeout -k 10 300 rustup component add --toolchain "$toolchain" clippy rustfmt ||
    fail_attempt "rustup could not add clippy and rustfmt to $toolchain"
  say installed "$components"
}

# --- Debian -----------------------------------------------------------------

# Says that a thing is present, or lists the packages that bring it.
want() {
  local check=$1
  shift
  if "$check"; then
    say present "$found"
  else
    missing+=("$@")
    pending+=("$check")
  fi
}

apt_get() {
  attempt "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
    -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"
}

install_packages() {
  [ ${#missing[@]} != 0 ] || return 0
  command -v apt-get >/dev/null ||
    fail "there is no apt-get: install by hand what Debian calls ${missing[*]}"
  as_root=()
  if [ "$EUID" != 0 ]; then
    as_root=(sudo)
    command -v sudo >/dev/null ||
      fail "neither root nor sudo: run this as root, or let root install ${missing[*]}"
  fi
  say installing "${missing[*]}"
  # A broken source that has nothing to do with us fails the update as well:
  # the install below decides.
  apt_get update || say "not had" "a complete apt-get update ($reason)"
  apt_get install --no-install-recommends --no-remove "${missing[@]}" ||
    fail_attempt "apt-get could not install ${missing[*]}"
  read_packages
  local check
  for check in "${pending[@]}"; do
    "$check" || fail "apt-get reported success, but $problem"
    say installed "$found"
  done
  check_shadow
}

# --- the whole --------------------------------------------------------------

main() {
  local ci=no
  while [ $# != 0 ]; do
    case $1 in
      --ci) ci=yes ;;
      -h | --help) usage; exit 0 ;;
      *) wrong_usage "'$1' is not an option: see ./setup.sh --help" ;;
    esac
    shift
  done
  case ${TWOFOLD_IMAGE_TOOLCHAIN:-} in
    '' | rustup | debian) ;;
    *) wrong_usage "TWOFOLD_IMAGE_TOOLCHAIN is '$TWOFOLD_IMAGE_TOOLCHAIN': it can be rustup or debian" ;;
  esac

  declare -gA packages
  missing=() pending=()
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT

  find_rust
  read_packages
  want check_cxx g++
  want check_qemu qemu-system-arm
  want_image_core
  if [ "$ci" = yes ]; then
    want check_valgrind valgrind
    [ "$image" != debian ] || want check_debian_clippy rust-web-clippy
  fi
  install_packages
  # From here on a compiler and linker are there.
  want_cargo_fuzz
  if [ "$ci" = yes ]; then
    want_components
    want_stable
  fi
}

main "$@"
