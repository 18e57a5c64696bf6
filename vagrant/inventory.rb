# inventory/vagrant.yml: the VMs as Vagrant made them, with their keys, addresses and ports, whatever the provider.
#
# Written anew whenever a VM comes up, before the playbook and after a VM is gone, so that it always is what Vagrant knows.

require "fileutils"
require "json"
require "yaml"

module JepsenVM
  class Inventory
    FILE = "inventory/vagrant.yml".freeze
    SECRETS = "inventory/.jepsenvm/vagrant".freeze
    KNOWN_HOSTS = ".vagrant/jepsenvm_known_hosts".freeze
    # Kept in Vagrant's own folder of a VM, which goes when the VM goes.
    KEPT = "jepsenvm.json".freeze

    def initialize(environment, settings)
      @root = environment.root_path
      @environment = environment
      @settings = settings
    end

    def write
      known = machines.to_h { |machine| [machine.name.to_s, look(machine) || kept(machine)] }.compact
      return clear if known.empty?

      put(KNOWN_HOSTS, known.values.flat_map { |one| host_keys(one) }.join)
      put(FILE, header + YAML.dump(document(known)).delete_prefix("---\n"))
    end

    private

    def machines
      found = @environment.active_machines.select { |name, _| @settings.names.include?(name.to_s) }
      found.sort_by { |name, _| @settings.names.index(name.to_s) }
           .map { |name, provider| @environment.machine(name, provider) }
    end

    # Nil for a VM that is off: what was seen of it when it was on stands then.
    def look(machine)
      ssh = machine.ssh_info or return

      one = { "host" => ssh[:host], "port" => ssh[:port].to_i, "user" => ssh[:username],
              "key" => Array(ssh[:private_key_path]).first, "keys" => kept(machine)&.fetch("keys") || ask_keys(machine) }
      machine.data_dir.join(KEPT).write(JSON.generate(one))
      one
    end

    def kept(machine)
      file = machine.data_dir.join(KEPT)
      JSON.parse(file.read) if file.file?
    end

    # Through Vagrant's own connection, the first one there is; from then on no other key is taken.
    def ask_keys(machine)
      said = +""
      machine.communicate.execute("cat /etc/ssh/ssh_host_*_key.pub") { |type, data| said << data if type == :stdout }
      said.lines.map { |line| line.split[0, 2].join(" ") }
    end

    def host_keys(one)
      name = one["port"] == 22 ? one["host"] : "[#{one['host']}]:#{one['port']}"
      one["keys"].map { |key| "#{name} #{key}\n" }
    end

    def document(known)
      hosts = known.to_h do |name, one|
        address = @settings.address(name)
        [name, { "ansible_host" => one["host"], "ansible_port" => one["port"], "ansible_user" => one["user"],
                 "ansible_ssh_private_key_file" => one["key"], "cluster_address" => address, "amqp_address" => address }]
      end
      { "all" => { "children" => { "rabbitmq" => { "hosts" => hosts, "vars" => variables } } } }
    end

    def variables
      known_hosts = @root.join(KNOWN_HOSTS).to_s
      patience = @settings.patience || (@settings.libvirt_driver == "qemu" && libvirt? ? 5 : 1)
      {
        "ansible_python_interpreter" => "/usr/bin/python3",
        "ansible_ssh_common_args" => "-o UserKnownHostsFile=\"#{known_hosts}\" -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
        "jepsenvm_known_hosts" => known_hosts,
        "jepsenvm_machines" => "vagrant",
        "jepsenvm_vagrant_dir" => @root.to_s,
        "jepsenvm_patience" => patience,
        "rabbitmq_apt_update" => @settings.apt_update
      }
    end

    def libvirt?
      @environment.active_machines.any? { |_, provider| provider == :libvirt }
    end

    def header
      "# Written by the Vagrantfile whenever a VM comes up or goes: a change to it does not last.\n"
    end

    # Nobody ever reads half of it.
    def put(name, text)
      file = @root.join(name)
      file.dirname.mkpath
      half = Pathname.new("#{file}.#{Process.pid}")
      half.write(text)
      half.rename(file)
    end

    # The last VM is gone, and with it the cluster whose secrets these were.
    def clear
      FileUtils.rm_f([@root.join(FILE), @root.join(KNOWN_HOSTS)])
      FileUtils.rm_rf(@root.join(SECRETS))
    end
  end

  class InventoryConfig < Vagrant.plugin("2", :config)
    attr_accessor :settings
  end

  # As a provisioner it comes before Ansible, to which triggers would be too late.
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
