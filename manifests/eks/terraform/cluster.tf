locals {
  node_groups = {
    # The gateway, Redis and the controllers.
    system = {
      ami_type       = "AL2023_x86_64_STANDARD"
      instance_types = var.system_instance_types
      min_size       = 2
      max_size       = 3
      desired_size   = 2
    }

    # The models. Not tainted: their chart then needs no tolerations.
    gpu = {
      # With NVIDIA's driver.
      ami_type       = "AL2023_x86_64_NVIDIA"
      instance_types = var.gpu_instance_types
      min_size       = var.gpu_nodes
      max_size       = var.gpu_nodes
      desired_size   = var.gpu_nodes

      # NVIDIA's device plugin runs where this is.
      labels = { "nvidia.com/gpu.present" = "true" }

      # Room for the image of vLLM and the weights.
      block_device_mappings = {
        root = {
          device_name = "/dev/xvda"
          ebs = {
            volume_size           = 200
            volume_type           = "gp3"
            delete_on_termination = true
          }
        }
      }
    }
  }
}

module "eks" {
  source  = "terraform-aws-modules/eks/aws"
  version = "21.25.0"

  name               = var.name
  kubernetes_version = var.kubernetes_version

  vpc_id     = module.vpc.vpc_id
  subnet_ids = module.vpc.private_subnets

  endpoint_public_access       = true
  endpoint_public_access_cidrs = var.api_access_cidrs

  # Whoever applies this may use kubectl.
  enable_cluster_creator_admin_permissions = true

  addons = {
    coredns    = {}
    kube-proxy = {}
    vpc-cni = {
      before_compute = true
    }
    # Gives pods the credentials of the role in identity.tf, at http://169.254.170.23.
    eks-pod-identity-agent = {
      before_compute = true
    }
  }

  eks_managed_node_groups = { for name, group in local.node_groups : name => group if group.desired_size > 0 }
}
