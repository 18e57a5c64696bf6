"""The VM tier: real VMs by the project's own Vagrantfile, brought up, broken and destroyed by `script/test-vms`."""
