"""The VMs that the Vagrantfile makes: what state they are in, and their power."""
