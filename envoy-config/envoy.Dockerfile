# Envoy with the native module in it. MODULE is an image of `weir image --filter module`:
#
#   docker build -f envoy-config/envoy.Dockerfile --build-arg MODULE=ghcr.io/me/weir:1.0-module -t envoy-weir .
#
# ENVOY is any image with Envoy 1.38 or newer and glibc 2.35 or newer, distroless or not.
ARG ENVOY=envoyproxy/envoy:distroless-v1.40.0
ARG MODULE

FROM ${MODULE} AS module

FROM ${ENVOY}
COPY --from=module --chmod=444 /libweir.so /opt/weir/libweir.so
# Where `weir render --envoy-image` has it, and where Envoy looks for `dynamic_module_config: {name: weir}`.
ENV ENVOY_DYNAMIC_MODULES_SEARCH_PATH=/opt/weir
