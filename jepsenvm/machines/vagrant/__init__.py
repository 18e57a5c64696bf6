"""The virtual machines of the Vagrantfile."""
