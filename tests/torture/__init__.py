"""Torture on a lab: a killed controller, a frozen host, a full disk, two runs, a failed playbook."""
