# Envoy with the filter in it. FILTER is an image of `weir image`, here of the native module:
#
#   docker build -f envoy-config/envoy.Dockerfile --build-arg FILTER=ghcr.io/me/weir:1.0-module -t envoy-weir .
#
# ENVOY is any image with Envoy 1.38 or newer and glibc 2.35 or newer, distroless or not. For wasm, which takes Envoy 1.35 or newer, it is
# --build-arg FILE=plugin.wasm besides.
ARG ENVOY=envoyproxy/envoy:distroless-v1.40.0
ARG FILTER

FROM ${FILTER} AS filter

FROM ${ENVOY}
ARG FILE=libweir.so
COPY --from=filter --chmod=444 /${FILE} /opt/weir/${FILE}
# Where `weir render --envoy-image` has it, and where Envoy looks for `dynamic_module_config: {name: weir}`.
ENV ENVOY_DYNAMIC_MODULES_SEARCH_PATH=/opt/weir
