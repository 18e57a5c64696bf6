"""Files of the controller that are sent to a host."""

from __future__ import annotations

import base64
import hashlib
import shlex
from pathlib import PurePosixPath
from typing import Final

from jepsenvm.errors import RunError
from jepsenvm.machines.ssh import Fleet

UPLOAD_S: Final = 300.0
"""Seconds that a file may take. A package of RabbitMQ has about 20 MB."""


def upload(fleet: Fleet, node: str, content: bytes, path: str) -> None:
    """Write a file on a node, in a folder that is created if it is missing.

    Raise RunError if the file on the node has another content afterwards.
    """
    folder, target = shlex.quote(str(PurePosixPath(path).parent)), shlex.quote(path)
    script = f"mkdir -p {folder} && base64 -d > {target} && sha256sum < {target}"
    text = base64.b64encode(content).decode()
    answer = fleet.run(node, script, timeout=UPLOAD_S, stdin=text).stdout
    if hashlib.sha256(content).hexdigest() not in answer:
        raise RunError(f"{path} arrived with another content", node=node)
