# Two zones: what EKS asks for at least. Nodes are private and reach the internet through one NAT gateway.

data "aws_availability_zones" "here" {
  state = "available"

  # Local zones have no EKS control plane.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  zones = slice(data.aws_availability_zones.here.names, 0, 2)
}

module "vpc" {
  source  = "terraform-aws-modules/vpc/aws"
  version = "6.7.2"

  name = var.name
  cidr = var.vpc_cidr
  azs  = local.zones

  private_subnets = [for index in range(length(local.zones)) : cidrsubnet(var.vpc_cidr, 4, index)]
  public_subnets  = [for index in range(length(local.zones)) : cidrsubnet(var.vpc_cidr, 8, 240 + index)]

  enable_nat_gateway = true
  single_nat_gateway = true

  # The load balancer controller finds its subnets by these.
  public_subnet_tags  = { "kubernetes.io/role/elb" = 1 }
  private_subnet_tags = { "kubernetes.io/role/internal-elb" = 1 }
}
