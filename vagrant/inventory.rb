# Writes inventory/vagrant.yml: the VMs of any provider, with the SSH keys, addresses and ports that
# Vagrant uses.
#
# The file is written when a VM starts, before the playbook runs and after a VM is destroyed, so that
# it always agrees with Vagrant's own state.

require "fileutils"
require "json"
require "yaml"

module JepsenVM
  class Inventory
    FILE = "inventory/vagrant.yml".freeze
    SECRETS = "inventory/.jepsenvm/vagrant".freeze
    KNOWN_HOSTS = ".vagrant/jepsenvm_known_hosts".freeze
    # Stored in Vagrant's data folder of a VM, which Vagrant deletes together with the VM.
    CONNECTION_FILE = "jepsenvm.json".freeze

    def initialize(environment, settings)
      @root = environment.root_path
      @environment = environment
      @settings = settings
    end

    def write
      connections = machines.to_h do |machine|
        [machine.name.to_s, current_connection(machine) || stored_connection(machine)]
      end.compact
      return clear if connections.empty?

      put(KNOWN_HOSTS, connections.values.flat_map { |connection| known_hosts(connection) }.join)
      put(FILE, header + YAML.dump(document(connections)).delete_prefix("---\n"))
    end

    private

    # The VMs that exist, in the order of their numbers.
    def machines
      active = @environment.active_machines.select { |name, _| @settings.names.include?(name.to_s) }
      active.sort_by { |name, _| @settings.names.index(name.to_s) }
            .map { |name, provider| @environment.machine(name, provider) }
    end

    # How to connect to a running VM. Nil for a VM that is off, which has a stored connection.
    def current_connection(machine)
      ssh = machine.ssh_info or return

      connection = {
        "host" => ssh[:host], "port" => ssh[:port].to_i, "user" => ssh[:username],
        "key" => Array(ssh[:private_key_path]).first,
        "keys" => stored_connection(machine)&.fetch("keys") || read_host_keys(machine)
      }
      machine.data_dir.join(CONNECTION_FILE).write(JSON.generate(connection))
      connection
    end

    def stored_connection(machine)
      file = machine.data_dir.join(CONNECTION_FILE)
      JSON.parse(file.read) if file.file?
    end

    # Reads the host keys through Vagrant's own SSH connection, once, when the VM first starts. After
    # that, no other keys are trusted.
    def read_host_keys(machine)
      output = +""
      machine.communicate.execute("cat /etc/ssh/ssh_host_*_key.pub") do |stream, data|
        output << data if stream == :stdout
      end
      output.lines.map { |line| line.split[0, 2].join(" ") }
    end

    def known_hosts(connection)
      host, port = connection.values_at("host", "port")
      name = port == 22 ? host : "[#{host}]:#{port}"
      connection["keys"].map { |key| "#{name} #{key}\n" }
    end

    def document(connections)
      hosts = connections.to_h { |name, connection| [name, host_variables(name, connection)] }
      group = { "hosts" => hosts, "vars" => group_variables }
      { "all" => { "children" => { "rabbitmq" => group } } }
    end

    def host_variables(name, connection)
      {
        "ansible_host" => connection["host"],
        "ansible_port" => connection["port"],
        "ansible_user" => connection["user"],
        "ansible_ssh_private_key_file" => connection["key"],
        "cluster_address" => @settings.address(name),
        "amqp_address" => @settings.address(name)
      }
    end

    def group_variables
      known_hosts_file = @root.join(KNOWN_HOSTS).to_s
      {
        "ansible_python_interpreter" => "/usr/bin/python3",
        "ansible_ssh_common_args" => "-o UserKnownHostsFile=\"#{known_hosts_file}\" " \
                                     "-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
        "jepsenvm_known_hosts" => known_hosts_file,
        "jepsenvm_machines" => "vagrant",
        "jepsenvm_vagrant_dir" => @root.to_s,
        "jepsenvm_patience" => patience,
        "rabbitmq_apt_update" => @settings.apt_update
      }
    end

    # Emulated VMs are several times slower, so every timeout is multiplied by 5.
    def patience
      emulated = @settings.libvirt_driver == "qemu" && libvirt?
      @settings.patience || (emulated ? 5 : 1)
    end

    def libvirt?
      @environment.active_machines.any? { |_, provider| provider == :libvirt }
    end

    def header
      "# Written by the Vagrantfile whenever a VM starts or is destroyed; do not edit.\n"
    end

    # Renames a temporary file, so that no reader sees half of the content.
    def put(name, text)
      file = @root.join(name)
      file.dirname.mkpath
      temporary = Pathname.new("#{file}.#{Process.pid}")
      temporary.write(text)
      temporary.rename(file)
    end

    # The last VM is gone, so the inventory and the secrets of its cluster are useless.
    def clear
      FileUtils.rm_f([@root.join(FILE), @root.join(KNOWN_HOSTS)])
      FileUtils.rm_rf(@root.join(SECRETS))
    end
  end

  class InventoryConfig < Vagrant.plugin("2", :config)
    attr_accessor :settings
  end

  # A provisioner, because a trigger would run too late: Ansible's provisioner needs the inventory.
  class InventoryProvisioner < Vagrant.plugin("2", :provisioner)
    def provision
      Inventory.new(@machine.env, @config.settings).write
    end
  end

  class InventoryPlugin < Vagrant.plugin("2")
    name "jepsenvm-inventory"
    description "Writes inventory/vagrant.yml."
    config(:jepsenvm_inventory, :provisioner) { InventoryConfig }
    provisioner(:jepsenvm_inventory) { InventoryProvisioner }
  end
end
