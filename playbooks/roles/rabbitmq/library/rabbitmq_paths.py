#!/usr/bin/python
"""Ansible module: makes several files and folders what they shall be, in one round trip.

It takes a list of paths, in the order in which they are changed. Each has the keys of ``PATH``.
The content of files is neither logged on the host nor returned.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

PATH = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["file", "directory", "absent"], "default": "file"},
    "content": {"type": "str", "no_log": True},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str"},
}


class Module(AnsibleModule):  # type: ignore[misc]  # Ansible publishes no types
    """A module that does not write its arguments to the host's log."""

    def _log_invocation(self) -> None:
        """Do nothing: the arguments have the content of secret files."""


def main() -> None:
    """Run the module."""
    module = Module(
        argument_spec={
            "paths": {"type": "list", "elements": "dict", "required": True, "options": PATH}
        },
        supports_check_mode=True,
    )
    changed = [wanted["path"] for wanted in module.params["paths"] if _made(module, wanted)]
    module.exit_json(changed=bool(changed), changed_paths=changed, invocation={})


def _made(module: AnsibleModule, wanted: dict[str, Any]) -> bool:
    """Make a path what it shall be; return whether something was changed."""
    path = Path(wanted["path"])
    if wanted["state"] == "absent":
        return _removed(module, path)
    if wanted["state"] == "directory":
        changed = _folder_made(module, path)
    else:
        changed = _written(module, wanted)
    if not os.path.lexists(path):
        return changed  # check mode
    return _attributes_set(module, wanted, path) or changed


def _attributes_set(module: AnsibleModule, wanted: dict[str, Any], path: Path) -> bool:
    """Give a path the owner, group and mode that are wanted; return whether it had others."""
    arguments = module.load_file_common_arguments({**wanted, "path": str(path)})
    return bool(module.set_fs_attributes_if_different(arguments, False))


def _removed(module: AnsibleModule, path: Path) -> bool:
    if not os.path.lexists(path):
        return False
    if module.check_mode:
        return True
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return True


def _folder_made(module: AnsibleModule, path: Path) -> bool:
    if path.is_dir():
        return False
    if not module.check_mode:
        path.mkdir(mode=0o755, parents=True)
    return True


def _written(module: AnsibleModule, wanted: dict[str, Any]) -> bool:
    """Write a file if its content differs.

    At any time it has its old or its new content, and nobody else can read the new one.
    """
    path, content = Path(wanted["path"]), (wanted["content"] or "").encode()
    if path.is_file() and path.read_bytes() == content:
        return False
    if module.check_mode:
        return True
    descriptor, name = tempfile.mkstemp(prefix=".ansible_tmp", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        _attributes_set(module, wanted, draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return True


if __name__ == "__main__":
    main()
