"""Print the options with which Ansible reaches each host, as Ansible itself resolves them.

``machines.ansible_settings`` runs this file as a program of its own, because Ansible reads
ansible.cfg and its environment when it is imported.

Standard input: ``{host: {variable: value}}``, with every template and encrypted value resolved.
Standard output: ``{host: {option: [value, source]}}``. The source is ``var: NAME``, ``env: NAME``,
``default``, or the path of ansible.cfg.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.loader import become_loader, connection_loader

CONNECTION_OPTIONS: Final = (
    "host",
    "port",
    "remote_user",
    "password",
    "private_key",
    "private_key_file",
    "private_key_passphrase",
    "pkcs11_provider",
    "ssh_args",
    "ssh_common_args",
    "ssh_extra_args",
    "ssh_executable",
)
"""Options of Ansible's connection plug-in ``ssh``."""

BECOME_OPTIONS: Final = ("become_exe", "become_flags", "become_pass", "become_user")
"""Options of Ansible's become plug-in ``sudo``."""

PLUGINS: Final = (
    ("connection", "ssh", connection_loader, CONNECTION_OPTIONS),
    ("become", "sudo", become_loader, BECOME_OPTIONS),
)

KEYWORDS: Final = {
    "connection": ("ansible_connection", "DEFAULT_TRANSPORT"),
    "become_method": ("ansible_become_method", "DEFAULT_BECOME_METHOD"),
}
"""Option that chooses a plug-in -> the variable that sets it, and Ansible's setting otherwise."""

Option = tuple[Any, str]
"""The value of an option and its source."""


def main() -> None:
    """Resolve the options of every host."""
    hosts: dict[str, dict[str, Any]] = json.load(sys.stdin)
    answer = {
        host: dict(_options({**variables, "inventory_hostname": host}))
        for host, variables in hosts.items()
    }
    json.dump(answer, sys.stdout, default=str)


def _options(variables: Mapping[str, Any]) -> Iterator[tuple[str, Option]]:
    for option, (variable, setting) in KEYWORDS.items():
        value = variables.get(variable)
        if value is None:
            yield option, _resolve({}, setting, variables)
        else:
            yield option, (value, f"var: {variable}")
    # The playbooks set `become: true`, and a variable takes precedence.
    yield "become", (variables.get("ansible_become", True), "var: ansible_become")
    yield "python", _resolve({}, "INTERPRETER_PYTHON", variables)
    for kind, plugin, loader, options in PLUGINS:
        loader.get(plugin, class_only=True)
        definitions = constants.config.get_configuration_definitions(kind, plugin)
        for option in options:
            # Older versions of Ansible lack some options.
            if option in definitions:
                where = {"plugin_type": kind, "plugin_name": plugin}
                yield option, _resolve(where, option, variables, definitions[option])


def _resolve(
    where: Mapping[str, str],
    option: str,
    variables: Mapping[str, Any],
    definition: Mapping[str, Any] | None = None,
) -> Option:
    try:
        value, source = constants.config.get_config_value_and_origin(
            option, variables=variables, **where
        )
    except AnsibleError as error:
        # The value has another type. The last variable that is set takes precedence in Ansible.
        names = [entry["name"] for entry in (definition or {}).get("vars", ())]
        for name in reversed(names):
            if variables.get(name) is not None:
                return variables[name], f"var: {name}"
        return str(error), "error"
    return value, source


if __name__ == "__main__":
    main()
