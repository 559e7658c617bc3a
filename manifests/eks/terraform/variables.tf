variable "region" {
  description = "Where everything runs, and whose Bedrock is asked. The same region stands in ../model-backends.yaml."
  type        = string
}

variable "name" {
  description = "Name of the cluster, and prefix of all that belongs to it."
  type        = string
  default     = "ai-gateway"
}

variable "kubernetes_version" {
  description = "From 1.35 on Kubernetes mounts images as volumes without a feature gate, which is how the proxies get libweir.so."
  type        = string
  default     = "1.35"
}

variable "vpc_cidr" {
  description = "Addresses of the VPC. It needs room for two /20 of nodes and pods and two /24 of load balancers."
  type        = string
  default     = "10.42.0.0/16"
}

variable "api_access_cidrs" {
  description = "Who reaches the Kubernetes API from outside. Credentials are asked for in any case; narrow it to your own network."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "system_instance_types" {
  description = "Nodes for the gateway, Redis and the controllers."
  type        = list(string)
  default     = ["m7i.large"]
}

variable "gpu_instance_types" {
  description = "Nodes for the models, one GPU each: 24 GB hold either of the two."
  type        = list(string)
  default     = ["g6.2xlarge"]
}

variable "gpu_nodes" {
  description = "How many of them; a model needs one. 0 where the models run elsewhere."
  type        = number
  default     = 2
}

variable "bedrock_models" {
  description = "Foundation models that the proxies may invoke, by their id in Bedrock, in var.region. No others."
  type        = list(string)
  default     = ["anthropic.claude-3-haiku-20240307-v1:0"]

  validation {
    condition     = length(var.bedrock_models) > 0 && alltrue([for model in var.bedrock_models : !strcontains(model, "*")])
    error_message = "Name at least one model, each in full: a * would allow more than the gateway routes to."
  }
}

variable "bedrock_profile_arns" {
  description = "Models that Bedrock serves through an inference profile only: the profile's ARN and those of the models behind it, in every region it names."
  type        = list(string)
  default     = []
}

variable "proxy_namespace" {
  description = "Namespace of the proxies: that of the Gateway, since Envoy Gateway is installed in GatewayNamespace mode (../helm/envoy-gateway.yaml)."
  type        = string
  default     = "default"
}

variable "proxy_service_account" {
  description = "Service account of the proxies, as the EnvoyProxy in ../gateway.yaml names it."
  type        = string
  default     = "ai-gateway-dataplane-aws"
}
