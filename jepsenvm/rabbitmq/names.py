"""Names and paths of RabbitMQ as the distributions' packages and our playbooks set them."""

from __future__ import annotations

from typing import Final

GROUP: Final = "rabbitmq"
"""The inventory group that lists the nodes of the cluster."""

SERVICE: Final = "rabbitmq-server"
"""The systemd unit."""

DATA_DIR: Final = "/var/lib/rabbitmq"
DATABASE_DIR: Final = f"{DATA_DIR}/mnesia"
CORRUPTED_DIR: Final = f"{DATA_DIR}/jepsenvm-corrupted"
"""Where a node keeps the original of a file that a fault corrupted."""

UPGRADE_DIR: Final = "/opt/jepsenvm/upgrade"
"""Where a node keeps the package of a rolling upgrade, and what it needs to finish the upgrade."""

LOG_DIR: Final = "/var/log/rabbitmq"
