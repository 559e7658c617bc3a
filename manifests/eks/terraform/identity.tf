# Who may do what: roles that EKS Pod Identity ties to service accounts. No key is written anywhere.

data "aws_partition" "here" {}

data "aws_iam_policy_document" "pods" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

# The proxies: these models, these two actions. The filter signs with it and asks for new credentials before they expire.

locals {
  bedrock_model_arns = [
    for model in var.bedrock_models :
    "arn:${data.aws_partition.here.partition}:bedrock:${var.region}::foundation-model/${model}"
  ]
}

data "aws_iam_policy_document" "bedrock" {
  statement {
    actions = [
      "bedrock:InvokeModel",
      "bedrock:InvokeModelWithResponseStream",
    ]
    resources = concat(local.bedrock_model_arns, var.bedrock_profile_arns)
  }
}

resource "aws_iam_role" "proxies" {
  name               = "${var.name}-proxies"
  description        = "Invokes the models that the gateway routes to"
  assume_role_policy = data.aws_iam_policy_document.pods.json
}

resource "aws_iam_role_policy" "bedrock" {
  name   = "bedrock"
  role   = aws_iam_role.proxies.id
  policy = data.aws_iam_policy_document.bedrock.json
}

resource "aws_eks_pod_identity_association" "proxies" {
  cluster_name    = module.eks.cluster_name
  namespace       = var.proxy_namespace
  service_account = var.proxy_service_account
  role_arn        = aws_iam_role.proxies.arn
}

# The load balancer controller, which makes the Gateway's NLB.

module "load_balancer_identity" {
  source  = "terraform-aws-modules/eks-pod-identity/aws"
  version = "2.6.0"

  name                            = "${var.name}-lbc"
  attach_aws_lb_controller_policy = true

  associations = {
    controller = {
      cluster_name    = module.eks.cluster_name
      namespace       = "kube-system"
      service_account = "aws-load-balancer-controller"
    }
  }
}
