"""The certificates of a deployed cluster: an authority of its own, and a certificate for each node.

They are kept with the other secrets of the cluster, in files that only their owner can read. The
keys leave this machine only for the node that uses them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jepsenvm.errors import UsageError, shown
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.inventory_node import Node
from jepsenvm.machines.inventory_tls import CA_FILE, TLS_DIR
from jepsenvm.private_files import make_private_folder, replace_private

AUTHORITY_LIFE: Final = timedelta(days=3650)
NODE_LIFE: Final = timedelta(days=365)
RENEWED_BEFORE_END: Final = timedelta(days=30)
CLOCK_TOLERANCE: Final = timedelta(days=1)
"""How long before it is made a certificate begins to be valid, for clocks that differ."""

KEY_FILE: Final = "ca.key"
NODES_DIR: Final = "nodes"

_DNS_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm)
"""What cryptography raises for a file that is no certificate or no key without a password."""


@dataclass(frozen=True)
class _Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def lasts(self, now: datetime) -> bool:
        """Return whether the certificate is valid and need not be renewed soon."""
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return begin <= now < end - RENEWED_BEFORE_END


def renew(inventory: Inventory, now: datetime) -> list[str]:
    """Make the certificates that are missing, outdated or for other addresses.

    Return the names of the nodes that got a new one. A new authority gives every node a new one.
    Raise UsageError, before anything is written, for an address that no certificate can have, and
    for an authority whose files are damaged.
    """
    folder = inventory.secrets_dir / TLS_DIR
    names = {node.name: _names(inventory.path, node) for node in inventory.nodes}
    try:
        authority = _authority(folder, now)
        made = []
        for node, wanted in names.items():
            files = folder / NODES_DIR / f"{node}.pem", folder / NODES_DIR / f"{node}.key"
            if not _fits(files, wanted, authority, now):
                _write(files, _node_pair(node, wanted, authority, now))
                made.append(node)
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder}: {error.strerror}",
            remedy="give yourself permission to read and write there",
        ) from error
    return made


def _names(path: Path, node: Node) -> tuple[x509.GeneralName, ...]:
    """Return what the certificate of a node is for: its names and its addresses."""
    texts = (node.name, node.tls_name, node.amqp_host, node.cluster_address)
    names: dict[x509.GeneralName, None] = {}
    for text in texts:
        name = _general_name(text)
        if name is None:
            raise UsageError(
                f"{path}: no certificate can be made for {shown(text)}",
                node=node.name,
                remedy="set amqp_address to a host name, or to an IP address without a zone",
            )
        names[name] = None
    return tuple(names)


def _general_name(text: str) -> x509.GeneralName | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return x509.DNSName(text) if _DNS_NAME.fullmatch(text) else None
    return None if getattr(address, "scope_id", None) else x509.IPAddress(address)


def _authority(folder: Path, now: datetime) -> _Pair:
    """Return the authority of the cluster; make one if there is none, or if it ends soon."""
    files = folder / CA_FILE, folder / KEY_FILE
    try:
        found = _read(files)
    except _UNREADABLE as error:
        raise UsageError(
            f"{files[0]} and {KEY_FILE} are not a certificate and its key",
            remedy=f"restore them, or remove {folder} so that new ones are made",
        ) from error
    if found is not None and found.lasts(now):
        return found
    made = _authority_pair(now)
    # An interruption must not leave a certificate with the key of another one.
    files[0].unlink(missing_ok=True)
    _write(files, made)
    return made


def _fits(
    files: tuple[Path, Path], names: Iterable[x509.GeneralName], authority: _Pair, now: datetime
) -> bool:
    """Return whether a node's certificate is by this authority, for these names, and lasts."""
    try:
        pair = _read(files)
        if pair is None:
            return False
        pair.certificate.verify_directly_issued_by(authority.certificate)
        extension = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (*_UNREADABLE, InvalidSignature, x509.ExtensionNotFound):
        return False
    return pair.lasts(now) and set(extension.value) == set(names)


def _read(files: tuple[Path, Path]) -> _Pair | None:
    """Return a certificate and its key; None if a file is missing, ValueError if one is damaged."""
    try:
        certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
        key = serialization.load_pem_private_key(files[1].read_bytes(), None)
    except FileNotFoundError:
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("a key of another kind")
    if key.public_key() != certificate.public_key():
        raise ValueError("the key belongs to another certificate")
    return _Pair(certificate, key)


def _write(files: tuple[Path, Path], pair: _Pair) -> None:
    """Write the key before the certificate: without its certificate, a key is made again."""
    make_private_folder(files[0].parent)
    # Every Erlang release can read the traditional format.
    key = pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    replace_private(files[1], key.decode("ascii"))
    certificate = pair.certificate.public_bytes(serialization.Encoding.PEM)
    replace_private(files[0], certificate.decode("ascii"))


def _authority_pair(now: datetime) -> _Pair:
    """Make an authority that can sign the certificates of nodes, and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _name(f"jepsenvm {serial:x}")
    builder = (
        _builder(name, key, now, AUTHORITY_LIFE)
        .serial_number(serial)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
    )
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _node_pair(
    node: str, names: Iterable[x509.GeneralName], authority: _Pair, now: datetime
) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(_name(node[:64]), key, now, NODE_LIFE)
        .serial_number(x509.random_serial_number())
        .issuer_name(authority.certificate.subject)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
    )
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    """Return what certificates of authorities and of nodes have in common."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + life)
        .add_extension(identifier, critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
