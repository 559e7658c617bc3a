# What install.sh asks for.

output "cluster_name" {
  description = "Name of the cluster, for `aws eks update-kubeconfig`."
  value       = module.eks.cluster_name
}

output "region" {
  description = "Region of the cluster."
  value       = var.region
}

output "vpc_id" {
  description = "VPC of the cluster, for the load balancer controller."
  value       = module.vpc.vpc_id
}

output "proxy_role_arn" {
  description = "Role of the proxies, to look up what they may do."
  value       = aws_iam_role.proxies.arn
}
