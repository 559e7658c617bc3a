# What the tests of this folder need, for build.sh, which has the functions that are used here.
# Without Go much of it cannot be had: those tests are skipped.
# shellcheck shell=bash

readonly ENVOY_GATEWAY=github.com/envoyproxy/gateway/cmd
readonly ENVOY_GATEWAY_VERSION=v1.9.1
# Older ones that take what is rendered, too: the oldest of all, with wasm, and the first with native modules.
readonly OLDER_ENVOY_GATEWAYS=(v1.6.0 v1.8.0)
# A day's state on the way to 1.31: the Go proxy has no releases.
readonly ISTIO=istio.io/istio
readonly ISTIO_VERSION=v0.0.0-20260827124520-eed52ebb66ad

need_deployment_packages() {
  need_registry
  need_compose
  { have prometheus && have promtool; } || apt_install prometheus
  have shellcheck || apt_install shellcheck
}

need_deployment_tools() {
  need_envoy_gateway
  need_older_envoy_gateways
  need_istio
  need_manifest_tools
  need_grafana_types
}

# docker-compose or Docker's plugin, which check a compose file without an engine.
need_compose() {
  if docker compose version >/dev/null 2>&1 || have docker-compose; then return; fi
  apt_install docker-compose
}

# A registry on loopback, and the tools that others take images with.
need_registry() {
  local tool missing=()
  for tool in docker-registry skopeo umoci; do have "$tool" || missing+=("$tool"); done
  [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

# Envoy Gateway's offline translation and its server, for tests/deploy. Without Go their tests are skipped.
need_envoy_gateway() {
  if { have egctl && have envoy-gateway; } || { [ -x "$OWN/bin/egctl" ] && [ -x "$OWN/bin/envoy-gateway" ]; }; then return; fi
  if ! have go; then
    goes_without "Go is missing, so nothing is run on Envoy Gateway"
    return
  fi
  say "building Envoy Gateway $ENVOY_GATEWAY_VERSION, which takes some minutes"
  go_install "" "$ENVOY_GATEWAY/egctl@$ENVOY_GATEWAY_VERSION" "$ENVOY_GATEWAY/envoy-gateway@$ENVOY_GATEWAY_VERSION"
}

# Older releases of Envoy Gateway: as long again for each, so only with OLDER=yes.
need_older_envoy_gateways() {
  [ -n "${OLDER:-}" ] || return 0
  local version
  for version in "${OLDER_ENVOY_GATEWAYS[@]}"; do
    if [ -x "$OWN/bin/envoy-gateway-$version/envoy-gateway" ] || ! have go; then continue; fi
    say "building Envoy Gateway $version"
    # Without what needs C headers, for a subcommand that nobody calls; of two modules of 1.6.0 the checksum database knows nothing.
    GONOSUMDB=github.com/replicatedhq/troubleshoot,github.com/envoyproxy/go-control-plane/contrib \
      go_install "/envoy-gateway-$version" -tags exclude_graphdriver_btrfs,containers_image_openpgp \
      "$ENVOY_GATEWAY/egctl@$version" "$ENVOY_GATEWAY/envoy-gateway@$version" || say "it cannot be built here: its tests are skipped"
  done
}

# istioctl, which validates, and Istiod, for tests/deploy. Without Go their tests are skipped.
need_istio() {
  if { have istioctl && have pilot-discovery; } || { [ -x "$OWN/bin/istioctl" ] && [ -x "$OWN/bin/pilot-discovery" ]; }; then return; fi
  if ! have go; then
    goes_without "Go is missing, so nothing is run on Istio"
    return
  fi
  say "building istioctl and Istiod, which takes some minutes"
  go_install "" "$ISTIO/istioctl/cmd/istioctl@$ISTIO_VERSION" "$ISTIO/pilot/cmd/pilot-discovery@$ISTIO_VERSION"
}

# What the tests of manifests/ use; without Go some are missing, and their tests are skipped.
need_manifest_tools() {
  # By the name of the program; and the modules with the schemas of the platforms' kinds.
  local tools=(
    kustomize=sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
    kubeconform=github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
    helm=helm.sh/helm/v3/cmd/helm@v3.21.4
  ) modules=("github.com/envoyproxy/gateway@$ENVOY_GATEWAY_VERSION" istio.io/api@v1.31.4) tool module
  if ! have go; then
    goes_without "Go is missing, so there are no kustomize, kubeconform and Helm: their tests are skipped"
    return
  fi
  for tool in "${tools[@]}"; do
    if have "${tool%%=*}" || [ -x "$OWN/bin/${tool%%=*}" ]; then continue; fi
    say "building ${tool%%=*}"
    go_install "" "${tool#*=}"
  done
  for module in "${modules[@]}"; do
    [ -d "$OWN/go/pkg/mod/$module" ] || in_own_go go mod download "$module"
  done
}

# Grafana's own types, in a program that reads dashboards with them. There is no Grafana to be had from a registry.
need_grafana_types() {
  if ! have go; then
    goes_without "Go is missing, so Grafana's types do not read the dashboards"
    return
  fi
  say "building what reads dashboards"
  # What has not changed is in the cache.
  (cd tests/deploy/observability/grafana &&
    in_own_go go build -buildvcs=false -trimpath -ldflags="-s -w" -gcflags="all=-l -dwarf=false" -o "$OWN/bin/grafana-dashboards" .)
}
