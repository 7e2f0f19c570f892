"""A certificate of its own, made on the spot: what makes a page on the local network a secure one."""

import contextlib
import datetime
import ipaddress
import pathlib
import ssl
import tempfile

from keras_slim.validation import import_extra

_VALID = datetime.timedelta(days=7)
_SLACK = datetime.timedelta(days=1)  # clocks of phones differ


def make_context(address):
    """Returns a server's TLS context with a new key and a certificate that it has signed itself.

    Args:
        address: The IPv4 address the certificate is for.

    Returns:
        `(context, fingerprint)`: the `ssl.SSLContext`, and the SHA-256 of the certificate as browsers show it.

    Raises:
        MissingExtraError: If the package `cryptography` is missing.
    """
    import_extra("cryptography", extra="phone", feature="A page by https")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keras-slim phone")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _scratch(certificate.public_bytes(encoding) + private) as path:
        context.load_cert_chain(path)
    return context, certificate.fingerprint(hashes.SHA256()).hex(":").upper()


@contextlib.contextmanager
def _scratch(content):
    """Gives the path of a file in a folder that only this user can read, since `ssl` takes keys from files alone."""
    with tempfile.TemporaryDirectory(prefix="keras_slim_") as folder:
        path = pathlib.Path(folder) / "key.pem"
        path.write_bytes(content)
        yield path
