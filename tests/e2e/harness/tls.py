"""TLS for clients and servers of tests: certificates, and TLS in front of what speaks none."""

import datetime
import ipaddress
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Authority:
    """A CA, and what it makes."""

    def __init__(self, name="CA of tests"):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.pem = _signed(self._name, self._key, self._name, self._key, [], is_ca=True)

    def issue(self, *names, subject=None):
        """A certificate for host names, IP addresses and URIs, with its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject or names[0])])
        return _signed(subject, key, self._name, self._key, names), _private(key)

    def context(self, pair=None, directory=None, alpn=()):
        """What a client trusts, and the certificate that it shows if it has one."""
        context = ssl.create_default_context(cadata=self.pem)
        if pair:
            files = directory / "client.pem", directory / "client.key"
            for file, text in zip(files, pair):
                file.write_text(text)
            context.load_cert_chain(*files)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.UniformResourceIdentifier(name) if ":" in name else x509.DNSName(name)


def _signed(subject, key, issuer, issuer_key, names, is_ca=False):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if is_ca:
        # One that is its own CA is shown by servers, too.
        uses = ["digital_signature", "key_cert_sign", "crl_sign"]
        others = ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"]
        usage = {**dict.fromkeys(uses, True), **dict.fromkeys(others, False)}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _private(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def certificate(name, directory):
    """A certificate that is its own CA, as PEM, and the files a server needs."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    pem = _signed(subject, key, subject, key, [name, "127.0.0.1"], is_ca=True)
    (directory / "cert.pem").write_text(pem)
    (directory / "key.pem").write_text(_private(key))
    return pem


def server_context(directory):
    """For a server with the certificate that is in `directory`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


class Relay:
    """TLS on a port of its own, in front of a plain port of this machine."""

    def __init__(self, name, directory, to):
        certificate(name, directory)
        self.ca = directory / "cert.pem"
        #: The names that clients asked for.
        self.asked = []
        self._context = server_context(directory)
        self._context.sni_callback = lambda _, name, __: self.asked.append(name)
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with (
                self._context.wrap_socket(connection, server_side=True) as client,
                socket.create_connection(("127.0.0.1", self._to)) as server,
            ):
                threading.Thread(target=_copy, args=(client, server), daemon=True).start()
                _copy(server, client)
        except OSError:
            # The client does not like the certificate, or has gone.
            connection.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
