# The settings of the VMs: defaults, overridden by vagrant.yml, overridden by environment variables.

require "ipaddr"
require "yaml"

module JepsenVM
  # A mistake in the settings. Vagrant prints the message without a backtrace.
  class SettingsError < Vagrant::Errors::VagrantError
    def initialize(text)
      @text = text
      super()
    end

    def error_message
      @text
    end
    alias message error_message
    alias to_s error_message
  end

  class Settings
    # Each type is a test for the value and a description for the error message.
    WHOLE = [->(value) { value.is_a?(Integer) && value.positive? },
             "a whole number of at least 1"].freeze
    NUMBER = [->(value) { value.is_a?(Numeric) && value.positive? }, "a number above 0"].freeze
    TEXT = [->(value) { value.is_a?(String) && !value.empty? }, "a text"].freeze
    SWITCH = [->(value) { [true, false].include?(value) }, "true or false"].freeze
    NODES = [->(value) { value.is_a?(Integer) && value.between?(1, 20) },
             "a whole number from 1 to 20"].freeze
    DRIVER = [->(value) { %w[kvm qemu].include?(value) }, "kvm or qemu"].freeze
    SUBNET = [
      lambda do |value|
        value.is_a?(String) && value.end_with?(".0/24") && IPAddr.new(value).ipv4?
      rescue IPAddr::Error
        false
      end,
      "an IPv4 network such as 192.168.60.0/24"
    ].freeze

    # Key => [type, default]. The environment variable is JEPSENVM_ followed by the key in capitals.
    KEYS = {
      "box" => [TEXT, "bento/ubuntu-24.04"],
      "box_url" => [TEXT, nil],
      "nodes" => [NODES, 5],
      "memory" => [WHOLE, 1024],
      "cpus" => [WHOLE, 1],
      "subnet" => [SUBNET, "192.168.60.0/24"],
      "libvirt_driver" => [DRIVER, nil],
      "libvirt_cpu" => [TEXT, nil],
      "boot_timeout" => [WHOLE, nil],
      "patience" => [NUMBER, nil],
      "apt_update" => [SWITCH, true],
      "http_proxy" => [TEXT, nil],
      "https_proxy" => [TEXT, nil],
      "no_proxy" => [TEXT, nil]
    }.freeze

    # Longest value that an error message repeats.
    MAX_SHOWN = 60

    def initialize(file, environment)
      @values = KEYS.transform_values { |_, default| default }
      read_file(file)
      read_environment(environment)
    end

    KEYS.each_key { |key| define_method(key) { @values[key] } }

    # The names of the VMs, which are also the names of the RabbitMQ nodes (rabbit@n1).
    def names
      (1..nodes).map { |number| "n#{number}" }
    end

    # n1 has the address that ends in .11; the address that ends in .1 belongs to this machine.
    def address(name)
      subnet.sub(/0\/24\z/, (10 + name.delete_prefix("n").to_i).to_s)
    end

    # /dev/kvm alone does not prove hardware virtualisation: on some machines it exists, but an
    # ordinary VM does not boot.
    def libvirt_driver
      return @values["libvirt_driver"] if @values["libvirt_driver"]

      virtualisation = File.exist?("/proc/cpuinfo") &&
                       File.read("/proc/cpuinfo").match?(/^flags.*\b(vmx|svm)\b/)
      virtualisation && File.exist?("/dev/kvm") ? "kvm" : "qemu"
    end

    def boot_timeout
      @values["boot_timeout"] || (libvirt_driver == "qemu" ? 900 : 300)
    end

    def proxies
      { "http" => http_proxy, "https" => https_proxy }.compact
    end

    private

    def read_file(file)
      return unless File.exist?(file)

      document = YAML.safe_load(File.read(file)) || {}
      unless document.is_a?(Hash)
        raise SettingsError, "#{file}: not a mapping; write lines of `key: value` " \
                             "(see vagrant.example.yml)"
      end

      document.each { |key, value| assign(key, value, "#{file}: #{key}") }
    rescue Psych::Exception => error
      raise SettingsError, "#{file}: not YAML: #{error.message}; see vagrant.example.yml"
    end

    def read_environment(environment)
      KEYS.each do |key, (type, _)|
        variable = "JEPSENVM_#{key.upcase}"
        text = environment[variable]
        next if text.to_s.empty?

        # A text is taken literally; every other type is written as in vagrant.yml.
        assign(key, type == TEXT ? text : YAML.safe_load(text), variable)
      end
    end

    # `origin` is the file and key, or the environment variable, that error messages name.
    def assign(key, value, origin)
      unless KEYS.key?(key)
        raise SettingsError, "#{origin}: unknown key; use one of #{KEYS.keys.join(', ')} " \
                             "(see vagrant.example.yml)"
      end

      valid, description = KEYS[key][0]
      unless valid.call(value)
        shown = value.inspect
        shown = "#{shown[0, MAX_SHOWN]}..." if shown.length > MAX_SHOWN
        raise SettingsError, "#{origin} is #{shown}; set it to #{description}"
      end

      @values[key] = value
    end
  end
end
