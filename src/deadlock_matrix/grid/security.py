"""Who may connect: TLS with certificates on both sides."""

from __future__ import annotations

from distributed import Security

from deadlock_matrix.errors import ConfigurationError


def make_security(address: str, ca: str, cert: str, key: str) -> Security | None:
    """Load the certificates for ``tls://`` addresses; only peers of the authority are accepted.

    Raises:
        ConfigurationError: Only some of the three files are given, or the address is not
            ``tls://``.
    """
    given = [each for each in (ca, cert, key) if each]
    if not given and not address.startswith("tls://"):
        return None
    if len(given) < 3:
        raise ConfigurationError("TLS needs all of --tls-ca, --tls-cert and --tls-key")
    if not address.startswith("tls://"):
        raise ConfigurationError(f"{address} is not encrypted: with certificates, write tls://")
    return Security(
        tls_ca_file=ca,
        tls_client_cert=cert,
        tls_client_key=key,
        tls_worker_cert=cert,
        tls_worker_key=key,
        require_encryption=True,
    )
