"""Exim behind the gate: in TLS, with a login, and by BDAT, which it offers."""

import os
import pwd
import re
import shutil
import signal
from pathlib import Path

from bench.ports import free_port
from tests.certificates import Certificate, issue
from tests.system.program import Program, missing, require_root

# Debian does not install it beside Postfix: .ci/run unpacks it here.
_UNPACKED = "/opt/exim/usr/sbin"
_USER = "Debian-exim"  # compiled in
_CONFIG = """
primary_hostname = mail.example.org
spool_directory = {dir}/spool
log_file_path = {dir}/log-%s
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
queue_only = true
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
auth_advertise_hosts = ${if def:tls_in_cipher {*}}
acl_smtp_mail = sender
acl_smtp_rcpt = recipient
acl_smtp_data = accept
begin acl
sender:
  deny !authenticated = *
       message = log in first
  accept
recipient:
  accept domains = example.org
         local_parts = you : also
  deny message = no such user
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${if and {{eq {$auth2}{gate}} {eq {$auth3}{pa55word}}}}
"""


class Exim:
    """An Exim that takes mail for you@ and also@example.org in TLS from who logs in, and keeps it in its queue.

    certificate: what it shows. login: name and password.
    """

    login = ("gate", "pa55word")

    def __init__(self, directory: Path) -> None:
        exim = shutil.which("exim4", path=f"/usr/sbin:{_UNPACKED}")
        if exim is None:
            missing("exim4 is not installed: see .ci/run")
        require_root("exim4")
        try:
            user = pwd.getpwnam(_USER)
        except KeyError:
            missing(f"there is no user {_USER}: see .ci/run")
        self._exim = str(exim)
        self.port = free_port()
        self.url = f"smtp://127.0.0.1:{self.port}"
        self.certificate: Certificate = issue(directory, "127.0.0.1")
        self._directory = directory
        for path in (directory, self.certificate.certificate, self.certificate.key):
            os.chown(path, user.pw_uid, user.pw_gid)
        self._config = directory / "exim.conf"
        files = {"certificate": self.certificate.certificate, "key": self.certificate.key}
        text = _CONFIG
        for name, value in {"dir": directory, "port": self.port, **files}.items():
            text = text.replace(f"{{{name}}}", str(value))
        self._config.write_text(text)
        self._config.chmod(0o644)
        self.program: Program

    def start(self) -> "Exim":
        """Run it, until it listens."""
        self.program = Program([self._exim, "-C", self._config, "-bdf"], self._directory)
        self.program.until_listening(self.port)
        return self

    def stop(self) -> None:
        """End all of its processes."""
        self.program.signal(signal.SIGTERM)
        self.program.wait()

    def body(self, reply: bytes) -> bytes:
        """The body of the message that a reply is about, as it lies in the queue; line ends are CRLF again."""
        found = re.search(rb"id=(\S+)", reply)
        assert found, reply
        name = f"{found[1].decode()}-D"
        [file] = (self._directory / "spool" / "input").rglob(name)
        # Its first line is its own name.
        return file.read_bytes().partition(b"\n")[2].replace(b"\n", b"\r\n")

    @property
    def log(self) -> str:
        """What it logged so far."""
        return "".join(path.read_text() for path in self._directory.glob("log-*"))
