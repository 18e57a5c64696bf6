"""Tests with real VMs from the project's Vagrantfile, run by `script/test-vms`."""
