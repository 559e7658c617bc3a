# An init container that copies the native module into a volume, for clusters without image volumes:
#
#   docker build -f envoy-config/init.Dockerfile --build-arg FILTER=ghcr.io/me/weir:1.0-module -t weir-init .
#
# Mount an emptyDir at /weir there, and at the folder that ENVOY_DYNAMIC_MODULES_SEARCH_PATH names in Envoy's container.
ARG FILTER

FROM ${FILTER} AS filter

FROM busybox:1.37
COPY --from=filter --chmod=444 /libweir.so /libweir.so
USER 65532:65532
ENTRYPOINT ["cp", "/libweir.so", "/weir/libweir.so"]
