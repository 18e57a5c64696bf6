# What a user may choose about the VMs: defaults, overridden by vagrant.yml, overridden by the environment.

require "ipaddr"
require "yaml"

module JepsenVM
  # Vagrant shows its text alone, without a backtrace.
  class Refused < Vagrant::Errors::VagrantError
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
    WHOLE = [->(value) { value.is_a?(Integer) && value.positive? }, "a whole number of at least 1"].freeze
    NUMBER = [->(value) { value.is_a?(Numeric) && value.positive? }, "a number above 0"].freeze
    TEXT = [->(value) { value.is_a?(String) && !value.empty? }, "a text"].freeze
    SWITCH = [->(value) { [true, false].include?(value) }, "true or false"].freeze
    NODES = [->(value) { value.is_a?(Integer) && value.between?(1, 20) }, "a whole number from 1 to 20"].freeze
    DRIVER = [->(value) { %w[kvm qemu].include?(value) }, "kvm or qemu"].freeze
    SUBNET = [
      lambda do |value|
        value.is_a?(String) && value.end_with?(".0/24") && IPAddr.new(value).ipv4?
      rescue IPAddr::Error
        false
      end,
      "an IPv4 network such as 192.168.60.0/24"
    ].freeze

    # Key => [what it must be, its default]; the variable of the environment is JEPSENVM_ and the key in capitals.
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

    def initialize(file, environment)
      @values = KEYS.transform_values { |_, default| default }
      read(file).each { |key, value| take(key, value, "#{file}: #{key}") }
      KEYS.each_key do |key|
        variable = "JEPSENVM_#{key.upcase}"
        text = environment[variable]
        take(key, KEYS[key][0] == TEXT ? text : YAML.safe_load(text), variable) unless text.to_s.empty?
      end
    end

    KEYS.each_key { |key| define_method(key) { @values[key] } }

    # The name is a node's name in RabbitMQ too.
    def names
      (1..nodes).map { |number| "n#{number}" }
    end

    # 11 for n1; .1 is this machine's own.
    def address(name)
      subnet.sub(/0\/24\z/, (10 + name.delete_prefix("n").to_i).to_s)
    end

    # /dev/kvm alone is no proof: some machines have one that starts no ordinary guest.
    def libvirt_driver
      return @values["libvirt_driver"] if @values["libvirt_driver"]

      virtual = File.exist?("/proc/cpuinfo") && File.read("/proc/cpuinfo").match?(/^flags.*\b(vmx|svm)\b/)
      virtual && File.exist?("/dev/kvm") ? "kvm" : "qemu"
    end

    def boot_timeout
      @values["boot_timeout"] || (libvirt_driver == "qemu" ? 900 : 300)
    end

    def proxies
      { "http" => http_proxy, "https" => https_proxy }.compact
    end

    private

    def read(file)
      return {} unless File.exist?(file)

      document = YAML.safe_load(File.read(file)) || {}
      raise Refused, "#{file}: must be lines of `key: value`; see vagrant.example.yml" unless document.is_a?(Hash)

      document
    rescue Psych::Exception => problem
      raise Refused, "#{file}: not YAML: #{problem.message}; see vagrant.example.yml"
    end

    def take(key, value, where)
      unless KEYS.key?(key)
        raise Refused, "#{where}: unknown key; use one of #{KEYS.keys.join(', ')} (see vagrant.example.yml)"
      end

      fits, what = KEYS[key][0]
      raise Refused, "#{where} is #{value.inspect}: must be #{what}" unless fits.call(value)

      @values[key] = value
    end
  end
end
