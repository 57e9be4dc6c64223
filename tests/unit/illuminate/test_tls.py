"""Encrypted connections: the server must prove its identity."""

import contextlib
import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.errors import OutageError, TransientError
from pipeline.illuminate.address import Address
from pipeline.illuminate.auth import OAuth2Credentials
from pipeline.illuminate.client import Client
from pipeline.illuminate.limits import Limits

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def make_certificate(
    folder, *, address="127.0.0.1", since=NOW - 2 * DAY, until=NOW + DAY, authority=None
):
    """A certificate that signs itself, or that a made-up authority signs, which has a name.

    Returns the path of a PEM file with its key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    signing = ec.generate_private_key(ec.SECP256R1()) if authority else key
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a made-up district")])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, authority)]) if authority else name
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(signing, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    no_password = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password)
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


class Encrypted(TCPServer):
    """A district of one assessment behind TLS; `requested` are the paths that came through."""

    def __init__(self, certificate):
        super().__init__(("127.0.0.1", 0), OneAssessment)
        self.requested = []
        self.seconds_a_byte = 0.0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def address(self):
        return Address.parse(f"https://127.0.0.1:{self.server_address[1]}/live")

    def stop(self):
        self.shutdown()
        self._thread.join(20)
        self.server_close()


class OneAssessment(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"access_token": "a-token", "expires_in": 3600})

    def do_GET(self):
        row = {"assessment_id": "1", "title": "Unit 1", "__count": "1"}
        self._answer({"page": 1, "num_pages": 1, "num_results": 1, "results": [row]})

    def _answer(self, value):
        self.server.requested.append(self.path)
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have gone
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.seconds_a_byte)

    def log_message(self, *_):
        pass


@pytest.fixture
def encrypted():
    """Start a district with a certificate: `encrypted(certificate)`."""
    started = []

    def start(certificate):
        started.append(Encrypted(certificate))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def count_assessments(address, **limits):
    """Count the assessments at an address."""
    credentials = OAuth2Credentials("an-id", "a-secret")
    client = Client(address, credentials, Limits(max_backoff=0.0, tries=2, **limits))
    try:
        return client.count_assessments()
    finally:
        client.close()


def test_a_certificate_that_the_network_vouches_for_is_trusted(encrypted, tmp_path, monkeypatch):
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert count_assessments(encrypted(certificate).address) == 1


@pytest.mark.parametrize("authority", [None, "a school's proxy"])
def test_a_certificate_that_nobody_vouches_for_ends_the_run_before_anything_is_said(
    encrypted, tmp_path, authority
):
    district = encrypted(make_certificate(tmp_path, authority=authority))
    with pytest.raises(OutageError, match="server's certificate is not trusted") as refused:
        count_assessments(district.address)
    host = f"127.0.0.1:{district.server_address[1]}"
    assert f"({host}): it is not signed by an authority that this machine" in str(refused.value)
    assert "set REQUESTS_CA_BUNDLE to its file" in str(refused.value)
    assert district.requested == []


def test_a_bundle_of_certificates_that_does_not_exist_ends_the_run(
    encrypted, tmp_path, monkeypatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none"))
    with pytest.raises(OutageError, match=r"REQUESTS_CA_BUNDLE .* names a file"):
        count_assessments(encrypted(make_certificate(tmp_path)).address)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"until": NOW - DAY}, "it has expired"),
        ({"since": NOW + DAY / 2}, "it is not valid yet; check the date of this machine"),
        ({"address": "127.0.0.2"}, "it was issued for another host"),
    ],
    ids=["has ended", "has not begun", "is another's"],
)
def test_a_trusted_certificate_that_does_not_hold_ends_the_run(
    encrypted, tmp_path, monkeypatch, fault, why
):
    certificate = make_certificate(tmp_path, **fault)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    district = encrypted(certificate)
    with pytest.raises(OutageError, match=f"server's certificate is not trusted .*: {why}"):
        count_assessments(district.address)
    assert district.requested == []


def test_an_encrypted_reply_that_drips_ends_at_the_deadline(encrypted, tmp_path, monkeypatch):
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    district = encrypted(certificate)
    district.seconds_a_byte = 0.5
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"within 0\.4 s"):
        count_assessments(district.address, deadline=0.4)
    assert time.monotonic() - began < 10


def test_a_server_that_does_not_encrypt_is_no_encrypted_server(server):
    with pytest.raises((OutageError, TransientError)):
        count_assessments(
            Address.parse(f"https://127.0.0.1:{server.port}/live"), connect_timeout=0.3
        )
    assert server.log == []


def test_a_name_that_nobody_knows_is_retried_and_reported(monkeypatch):
    looked_up = []

    def unknown(host, *_, **__):
        looked_up.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    failed = "the connection failed: nowhere.illuminateed.com cannot be resolved to an address"
    with pytest.raises(TransientError, match=failed):
        count_assessments(Address.parse("https://nowhere.illuminateed.com/live"))
    assert looked_up == ["nowhere.illuminateed.com"] * 2
