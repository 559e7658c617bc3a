#!/usr/bin/env bash
# Puts up the blueprint on Amazon EKS, or brings what is there up to date: every step may be repeated.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Charts, pinned.
readonly LOAD_BALANCER_CHART=1.14.0
readonly DEVICE_PLUGIN_CHART=0.18.0
readonly REDIS_CHART=0.34.2
readonly ENVOY_GATEWAY_CHART=v1.9.1
readonly MODELS_CHART=0.2.6
# The oldest Kubernetes that mounts images without a feature gate.
readonly IMAGE_VOLUMES_FROM=35

readonly TFVARS=terraform/blueprint.tfvars
readonly GATEWAY=ai-gateway NAMESPACE=default
readonly STEPS=(infrastructure controllers redis envoy-gateway models gateway)

usage() {
  cat <<USAGE
Usage: ./install.sh (--module-image IMAGE | --envoy-image IMAGE) [options] [STEP...]

The native filter gets into the proxies from
  --module-image IMAGE  an image with /libweir.so, as \`weir image --filter module\` makes it; mounted as a volume, Kubernetes 1.$IMAGE_VOLUMES_FROM or later
  --envoy-image IMAGE   an image of Envoy with the module as /opt/weir/libweir.so
Both by digest, REGISTRY/REPOSITORY@sha256:..., where it matters.

  --limits FILE         budgets [default: rate-limiting/ai-gateway-rate-limit.yaml]
  --yes                 do not ask before Terraform changes something
  --dry-run             check the files, print the commands, and run none of them
  -h, --help            this

Steps, all in this order by default: ${STEPS[*]}
The models need a token of Hugging Face in \$HF_TOKEN, or a Secret hf-token that is there already.
USAGE
}

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

# Runs a command, or prints it.
run() {
  if [ -n "$dry_run" ]; then
    printf '%q ' "$@"
    printf '\n'
  else
    "$@"
  fi
}

parse() {
  dry_run='' yes='' image=() limits=rate-limiting/ai-gateway-rate-limit.yaml chosen=()
  while [ $# -gt 0 ]; do
    case "$1" in
      --module-image | --envoy-image)
        [ -n "${2:-}" ] || die "$1 needs an image"
        [ ${#image[@]} -eq 0 ] || die "give one image, by --module-image or by --envoy-image"
        image=("$1" "$2")
        shift
        ;;
      --limits)
        [ -f "${2:-}" ] || die "--limits needs a file, and there is none named \"${2:-}\""
        limits=$2
        shift
        ;;
      --yes) yes=-auto-approve ;;
      --dry-run) dry_run=yes ;;
      -h | --help)
        usage
        exit 0
        ;;
      -*) die "there is no option $1; see --help" ;;
      *)
        case " ${STEPS[*]} " in
          *" $1 "*) chosen+=("$1") ;;
          *) die "there is no step \"$1\"; there are ${STEPS[*]}" ;;
        esac
        ;;
    esac
    shift
  done
  [ ${#chosen[@]} -gt 0 ] || chosen=("${STEPS[@]}")
  if wanted gateway && [ ${#image[@]} -eq 0 ]; then
    die "where do the proxies get the filter from? Give --module-image or --envoy-image; see --help"
  fi
}

wanted() {
  local step
  for step in "${chosen[@]}"; do
    if [ "$step" = "$1" ]; then return; fi
  done
  return 1
}

need_tools() {
  local tool missing=()
  for tool in terraform aws kubectl helm weir; do
    command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
  done
  [ ${#missing[@]} -eq 0 ] || die "not on the PATH: ${missing[*]}"
}

# Everything that can be wrong before anything is changed.
check() {
  local region wrong
  region=$(sed -n 's/^region *= *"\(.*\)"$/\1/p' "$TFVARS")
  [ -n "$region" ] || die "$TFVARS names no region"
  wrong=$(grep -nE '^ *(hostname: bedrock-runtime\.|region: )' model-backends.yaml | grep -vF -e ".$region.amazonaws.com" -e "region: $region" || true)
  [ -z "$wrong" ] || die "$TFVARS says $region, and model-backends.yaml has another region:"$'\n'"$wrong"
  say "checking the resources"
  weir check "${resources[@]}" || die "the resources have mistakes, see above; nothing was changed"
}

# A value that Terraform knows once it was applied.
output() {
  if [ -n "$dry_run" ]; then
    printf '%s' "$1" | tr '[:lower:]' '[:upper:]'
  else
    terraform -chdir=terraform output -raw "$1"
  fi
}

# Terraform: network, cluster, nodes, roles; then kubectl's access to it.
infrastructure() {
  run terraform -chdir=terraform init -input=false
  run terraform -chdir=terraform apply -var-file="$(basename "$TFVARS")" ${yes:+"$yes"}
  access
}

# From here on kubectl and Helm speak to the blueprint's cluster, and to no other that they were left at.
access() {
  local cluster region
  cluster=$(output cluster_name)
  region=$(output region)
  run aws eks update-kubeconfig --name "$cluster" --region "$region"
}

# A chart, and until it runs.
chart() {
  run helm upgrade --install "$@" --wait --timeout 10m
}

controllers() {
  local cluster region vpc
  cluster=$(output cluster_name)
  region=$(output region)
  vpc=$(output vpc_id)
  chart aws-load-balancer-controller aws-load-balancer-controller --repo https://aws.github.io/eks-charts \
    --version "$LOAD_BALANCER_CHART" --namespace kube-system \
    --set clusterName="$cluster" --set region="$region" --set vpcId="$vpc" \
    --set serviceAccount.name=aws-load-balancer-controller
  chart nvidia-device-plugin nvidia-device-plugin --repo https://nvidia.github.io/k8s-device-plugin \
    --version "$DEVICE_PLUGIN_CHART" --namespace nvidia-device-plugin --create-namespace
}

redis() {
  chart redis oci://registry-1.docker.io/cloudpirates/redis --version "$REDIS_CHART" \
    --namespace redis-system --create-namespace -f helm/redis.yaml
}

envoy_gateway() {
  chart envoy-gateway oci://docker.io/envoyproxy/gateway-helm --version "$ENVOY_GATEWAY_CHART" \
    --namespace envoy-gateway-system --create-namespace -f helm/envoy-gateway.yaml
}

# The token goes through a pipe: in the arguments others could read it.
token() {
  if [ -n "${HF_TOKEN:-}" ]; then
    if [ -n "$dry_run" ]; then
      say "the token in \$HF_TOKEN becomes the Secret hf-token"
      return
    fi
    printf '%s' "$HF_TOKEN" \
      | kubectl create secret generic hf-token --namespace "$NAMESPACE" --from-file=token=/dev/stdin --dry-run=client -o yaml \
      | kubectl apply -f -
  elif [ -z "$dry_run" ] && ! kubectl get secret hf-token --namespace "$NAMESPACE" >/dev/null 2>&1; then
    die "the models need a token of Hugging Face: set HF_TOKEN, or make the Secret hf-token with the key \"token\" in $NAMESPACE"
  fi
}

# Without --wait: weights are downloaded for minutes, and the gateway answers meanwhile that a model is not there.
models() {
  local model
  token
  for model in qwen3 gpt-oss; do
    run helm upgrade --install "$model" inference-charts --repo https://awslabs.github.io/ai-on-eks-charts \
      --version "$MODELS_CHART" --namespace "$NAMESPACE" -f "helm/$model.yaml"
  done
}

mounts_images() {
  local version
  version=$(kubectl get --raw /version | sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p')
  [ "${version:-0}" -ge "$IMAGE_VOLUMES_FROM" ] \
    || die "Kubernetes 1.${version:-?} does not mount images; take --envoy-image, or 1.$IMAGE_VOLUMES_FROM"
}

# Weir: the resources become plain ones of Gateway API and Envoy Gateway.
gateway() {
  if [ -z "$dry_run" ] && [ "${image[0]}" = --module-image ]; then mounts_images; fi
  # Anew: a file that is rendered no more must not stay.
  run rm -rf rendered
  run weir render "${resources[@]}" --to envoy-gateway "${image[@]}" -o rendered
  run kubectl apply -f rendered
  run kubectl wait --for=condition=Programmed "gateway/$GATEWAY" --namespace "$NAMESPACE" --timeout=10m
  [ -z "$dry_run" ] || return 0
  local address
  address=$(kubectl get "gateway/$GATEWAY" --namespace "$NAMESPACE" -o 'jsonpath={.status.addresses[0].value}')
  say "the gateway is http://$address (a new name takes some minutes to be known); ask all three models:"
  printf 'python3 clients/multi_model.py http://%s\n' "$address"
}

main() {
  parse "$@"
  resources=(-f gateway.yaml -f model-backends.yaml -f rate-limiting/ai-gateway-route.yaml -f "$limits")
  need_tools
  check
  wanted infrastructure || access
  local step
  for step in "${STEPS[@]}"; do
    if wanted "$step"; then
      say "$step"
      "${step//-/_}"
    fi
  done
}

main "$@"
