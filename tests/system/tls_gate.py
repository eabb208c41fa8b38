"""A gate with a listener for each kind of TLS, and the one certificate that it shows."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.ports import free_port
from tests.certificates import Certificate, issue
from tests.system.gate import Gate
from tests.system.peers import in_maildir

_CONFIG = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org", "xn--bcher-kva.example"]
workers = 1
[[listener]]
address = "127.0.0.1:{port}"
tls = "starttls"
client_certificates = "ask"
[[listener]]
address = "127.0.0.1:IMPLICIT"
tls = "implicit"
[tls]
certificate = "../certificate.pem"
key = "../key.pem"
[relay]
url = "maildir:mail"
[store]
url = "sqlite:///var/smtpgate.db"
[phases]
mail = [RULES]
rcpt = ["reject_unauth_destination"]
"""


class TlsGate(NamedTuple):
    """port: that with STARTTLS. implicit: that with TLS from the first byte."""

    gate: Gate
    port: int
    implicit: int
    certificate: Certificate

    def arrived(self) -> list[bytes]:
        """Every message that got through."""
        return in_maildir(self.gate.directory / "mail")


def tls_config(implicit: int, *rules: str) -> str:
    """The gate's configuration. rules: what is asked at MAIL."""
    return _CONFIG.replace("IMPLICIT", str(implicit)).replace("RULES", ", ".join(f'"{rule}"' for rule in rules))


def serve_tls(serve: Callable[..., Gate], directory: Path, *rules: str) -> TlsGate:
    """Start it in a directory below this one."""
    certificate, implicit = issue(directory), free_port()
    gate = serve(config=tls_config(implicit, *rules))
    return TlsGate(gate, gate.port, implicit, certificate)
