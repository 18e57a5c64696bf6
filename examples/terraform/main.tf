# Creates five hosts with a private network at Hetzner Cloud, and an inventory for jepsenvm.
#
#   export HCLOUD_TOKEN=...
#   terraform init && terraform apply -var 'controller=203.0.113.7/32'
#   terraform output -raw inventory > ../../inventory/hetzner.yml
#   jepsenvm run -i ../../inventory/hetzner.yml
#   terraform destroy

terraform {
  required_version = ">= 1.3"
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "~> 1.45"
    }
  }
}

variable "controller" {
  description = "The network of the controller, which may use SSH and AMQP: 203.0.113.7/32."
  type        = string
}

variable "public_key" {
  description = "The file with the SSH public key that may log in."
  type        = string
  default     = "~/.ssh/id_ed25519.pub"
}

variable "nodes" {
  description = "The number of hosts."
  type        = number
  default     = 5
}

variable "image" {
  description = "A Debian or Ubuntu image; its release determines the version of RabbitMQ."
  type        = string
  default     = "ubuntu-24.04"
}

variable "server_type" {
  type    = string
  default = "cx22"
}

variable "location" {
  type    = string
  default = "nbg1"
}

resource "hcloud_ssh_key" "controller" {
  name       = "jepsenvm"
  public_key = file(pathexpand(var.public_key))
}

resource "hcloud_network" "private" {
  name     = "jepsenvm"
  ip_range = "10.77.0.0/16"
}

resource "hcloud_network_subnet" "nodes" {
  network_id   = hcloud_network.private.id
  type         = "cloud"
  network_zone = "eu-central"
  ip_range     = "10.77.1.0/24"
}

# Applies to the public addresses only; Hetzner's firewalls do not filter private networks.
resource "hcloud_firewall" "controller" {
  name = "jepsenvm"
  dynamic "rule" {
    for_each = toset(["22", "5671", "5672"])
    content {
      direction  = "in"
      protocol   = "tcp"
      port       = rule.value
      source_ips = [var.controller]
    }
  }
}

resource "hcloud_server" "node" {
  count        = var.nodes
  name         = "n${count.index + 1}"
  image        = var.image
  server_type  = var.server_type
  location     = var.location
  ssh_keys     = [hcloud_ssh_key.controller.id]
  firewall_ids = [hcloud_firewall.controller.id]

  network {
    network_id = hcloud_network.private.id
    ip         = cidrhost(hcloud_network_subnet.nodes.ip_range, 11 + count.index)
  }

  depends_on = [hcloud_network_subnet.nodes]
}

output "inventory" {
  description = "The Ansible inventory of the hosts."
  value = yamlencode({
    all = {
      children = {
        rabbitmq = {
          hosts = {
            for index, server in hcloud_server.node : server.name => {
              ansible_host    = server.ipv4_address
              cluster_address = cidrhost(hcloud_network_subnet.nodes.ip_range, 11 + index)
            }
          }
          vars = {
            ansible_user            = "root"
            ansible_ssh_common_args = "-o StrictHostKeyChecking=accept-new"
            jepsenvm_machines       = "cloud"
          }
        }
      }
    }
  })
}
