# Deploys the packaged template of Scrip with Terraform: docs/runbooks/deploy-a-release.md.
# packaged.yaml is beside this file.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "bucket" {
  description = "Bucket for the template, which is larger than a request may be"
  type        = string
}

variable "attempt" {
  description = "Increase it to deploy the same template and parameters again after a rollback"
  type        = number
  default     = 1
}

locals {
  template = "${path.module}/packaged.yaml"
  parameters = {
    TableName  = "credits-dev"
    Deployment = "AllAtOnce"
    Watching   = "basic"
  }
  # Differs whenever the template or a parameter does, so that Lambda publishes versions.
  release = substr(sha256("${filesha256(local.template)}${jsonencode(local.parameters)}${var.attempt}"), 0, 10)
}

resource "aws_s3_object" "template" {
  bucket = var.bucket
  key    = "scrip-dev/${filesha256(local.template)}.yaml"
  source = local.template
}

resource "aws_cloudformation_stack" "scrip" {
  name         = "scrip-dev"
  template_url = "https://${var.bucket}.s3.amazonaws.com/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  parameters   = merge(local.parameters, { Release = local.release })
}

output "outputs" {
  description = "Outputs of the stack, such as ApiUrl and GrantArn"
  value       = aws_cloudformation_stack.scrip.outputs
}
