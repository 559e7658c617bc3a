#!/usr/bin/env bash
# Does what a newcomer does, as on a machine that has nothing yet: a clone of HEAD, without .weir, and with empty caches of crates, Go modules, wheels and
# npm packages. Packages of the system stay. Before a release, and whenever what is installed or built has changed.
#
#   tests/fresh.sh              the README's commands, then what CI runs
#   tests/fresh.sh readme       the README's commands: the demo up to its first answer, `check`, `run` of one's own file
#   tests/fresh.sh test [ARGS]  ./build.sh test with CI=true, and ARGS in place of --all
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly REPOSITORY=$PWD
folder=$(mktemp -d "${TMPDIR:-/tmp}/weir-fresh.XXXXXX")
gateway=
end() {
  [ -z "$gateway" ] || kill "$gateway" 2>/dev/null || true
  # Go makes its modules read-only.
  chmod -R u+w "$folder" && rm -rf "$folder"
}
trap end EXIT

say() { printf '\n==> %s\n' "$*" >&2; }
die() { printf 'fresh.sh: %s\n' "$*" >&2; exit 1; }

empty_caches() {
  # Settings are no cache: a mirror may stand in them.
  local cargo=${CARGO_HOME:-$HOME/.cargo} file
  mkdir -p "$folder"/{cargo,go,go-build,go-modules,pip,npm}
  for file in config.toml config credentials.toml; do
    [ ! -e "$cargo/$file" ] || cp "$cargo/$file" "$folder/cargo/"
  done
  export PATH=$PATH:$cargo/bin
  export CARGO_HOME=$folder/cargo GOPATH=$folder/go GOCACHE=$folder/go-build GOMODCACHE=$folder/go-modules
  export PIP_CACHE_DIR=$folder/pip npm_config_cache=$folder/npm
  unset CARGO_TARGET_DIR ENVOY WEIR WEIR_PROVIDERS WEIR_MODULE WEIR_WASM VIRTUAL_ENV
}

# starts LOG COMMAND...: runs it until it listens; `$address` is where.
starts() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 &
  gateway=$!
  until address=$(sed -n 's/^listening on //p' "$log") && [ -n "$address" ]; do
    kill -0 "$gateway" 2>/dev/null || { cat "$log" >&2; die "$* ended"; }
    sleep 0.2
  done
}

stops() {
  kill "$gateway"
  wait "$gateway" || die "the gateway ended with $? when it was stopped"
  gateway=
}

readme() {
  local began=$SECONDS answer
  say "./build.sh run"
  starts "$folder/demo.log" ./build.sh run
  answer=$(curl -sS --fail "$address/v1/chat/completions" -H 'content-type: application/json' -H 'x-user-id: fresh' \
    -d '{"model": "Qwen/Qwen3-1.7B", "messages": [{"role": "user", "content": "Hello"}]}')
  say "the first answer came after $((SECONDS - began)) s: $answer"
  stops

  say "the README's own resources"
  awk '/^```yaml$/ { on = 1; next } /^```$/ { on = 0 } on' README.md >"$folder/mine.yaml"
  target/release/weir check -f "$folder/mine.yaml"
  starts "$folder/mine.log" ./build.sh run -f "$folder/mine.yaml" --port 0
  curl -sS --fail "$address/v1/models"
  stops
}

empty_caches
git clone -q "$REPOSITORY" "$folder/weir"
cd "$folder/weir"
case "${1:-}" in
  "") readme && CI=true ./build.sh test --all ;;
  readme) readme ;;
  test)
    shift
    CI=true ./build.sh test "$@"
    ;;
  *) die "either nothing, or readme, or test" ;;
esac
