"""The ports at which a deployed RabbitMQ accepts clients."""

from __future__ import annotations

from typing import Final

AMQP_PORT: Final = 5672
AMQP_TLS_PORT: Final = 5671
