"""TLS to the brokers: clients verify each broker's certificate and its name.

There is no way to connect with TLS and without verification.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import pika

from jepsenvm.errors import UsageError, shorten
from jepsenvm.machines.inventory_tls import CA

if TYPE_CHECKING:
    from jepsenvm.machines.inventory import Inventory


@dataclass(frozen=True)
class Tls:
    """What the certificate of one broker must have."""

    ca: str = field(repr=False)
    """The certificates of the authorities of which one must have signed it, as PEM."""
    name: str
    """The name or address that it must have."""

    def pika_options(self) -> pika.SSLOptions:
        """Return what pika needs for a verified connection."""
        return pika.SSLOptions(verifying_context(self.ca), self.name)

    def problem(self, host: str, port: int, timeout: float) -> str | None:
        """Connect, and return why the broker's certificate is not accepted; None if it is.

        A broker that does not answer within ``timeout`` seconds, or not with TLS, has a problem
        too.
        """
        try:
            with socket.create_connection((host, port), timeout) as plain:
                verifying_context(self.ca).wrap_socket(plain, server_hostname=self.name).close()
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is not accepted: {shorten(error.verify_message, 200)}"
        except ssl.SSLError as error:
            return f"does not answer with TLS: {error.reason or 'it closed the connection'}"
        except OSError as error:
            # A timeout of the socket has no text of the operating system.
            return f"does not answer with TLS: {error.strerror or 'no answer in time'}"
        except ValueError as error:
            return f"cannot be asked for a certificate: {shorten(error, 200)}"
        return None


@lru_cache(maxsize=8)
def verifying_context(ca: str) -> ssl.SSLContext:
    """Return the settings of connections that accept only certificates of these authorities.

    Raise ValueError or ssl.SSLError for a text without certificates.
    """
    # ssl.create_default_context would trust the authorities of this machine for an empty text.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca)
    if not context.cert_store_stats()["x509"]:
        raise ValueError("no certificate")
    return context


def read_ca(inventory: Inventory) -> str | None:
    """Return the certificates of the authorities that clients trust; None without TLS.

    Raise UsageError for a file that cannot be read, or that has no certificate.
    """
    file = inventory.broker_ca
    if file is None:
        return None
    remedy = f"run `jepsenvm deploy -i {inventory.path}`, which makes it"
    if inventory.existing:
        remedy = f"correct {CA} in {inventory.path}"
    try:
        # Comments between certificates may have any characters; OpenSSL takes ASCII only.
        text = file.read_bytes().decode("ascii", "replace").replace("\ufffd", "?")
        verifying_context(text)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"{file}: has no certificate", remedy=remedy) from error
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}", remedy=remedy) from error
    return text
