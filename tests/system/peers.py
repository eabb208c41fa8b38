"""The servers behind the gate, each with configuration, queue and data of its own: Postfix, Dovecot, smtp-sink,
and one whose part the test plays itself.
"""

import os
import pwd
import re
import signal
import socket
import subprocess
from pathlib import Path

from bench.peers import POSTFIX_SERVICES
from bench.ports import free_port
from tests.system.gate import Talk
from tests.system.messages import ref
from tests.system.program import PATIENCE, Program, require, require_root

# Who owns the delivered mail: nobody else's mail is his.
_OWNER = pwd.getpwnam("nobody")

_MAIN_CF = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = /dev/stdout
myhostname = mail.example.org
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
message_size_limit = 3000000
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_authorized_xclient_hosts = 127.0.0.0/8
virtual_mailbox_domains = example.org
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = inline:{ you@example.org=you/, also@example.org=also/ }
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""
_MASTER_CF = f"""
{{address}}:{{port}} inet n - n - 20 smtpd
virtual  unix - n n -    - virtual
showq    unix n - n -    - showq
{POSTFIX_SERVICES}"""


class Postfix:
    """A Postfix that delivers mail for you@ and also@example.org into Maildirs, and knows nobody else.

    address, port: where it listens; a free port unless told.
    """

    def __init__(self, directory: Path, address: str = "127.0.0.1", port: int | None = None) -> None:
        self._postfix = require("postfix", "postfix")
        require_root("postfix")
        self.port = port or free_port()
        self.url = f"smtp://{address}:{self.port}"
        self.mail = directory / "mail"
        self._config = directory / "conf"
        for name in ("conf", "queue", "data", "mail"):
            (directory / name).mkdir()
        os.chown(self.mail, _OWNER.pw_uid, _OWNER.pw_gid)
        postfix = pwd.getpwnam("postfix")
        os.chown(directory / "data", postfix.pw_uid, postfix.pw_gid)
        values = {"dir": directory, "address": address, "port": self.port}
        values |= {"uid": _OWNER.pw_uid, "gid": _OWNER.pw_gid}
        (self._config / "main.cf").write_text(_filled(_MAIN_CF, values))
        (self._config / "master.cf").write_text(_filled(_MASTER_CF, values))
        self.program: Program

    def start(self) -> "Postfix":
        """Run it, until it listens."""
        self.program = Program([self._postfix, "-c", self._config, "start-fg"], self._config)
        self.program.wait_for("daemon started")
        return self

    def stop(self) -> None:
        """End all of its processes."""
        if not self.program.has_ended:
            subprocess.run(
                [self._postfix, "-c", self._config, "stop"], check=True, capture_output=True, timeout=PATIENCE
            )
        self.program.wait()

    def delivered(self, reply: bytes | str, user: str = "you") -> bytes:
        """What a user got of the message that the gate's reply is about, once it is in the Maildir."""
        queue_id = re.search(r"queued as (\w+)", str(reply))
        assert queue_id, reply
        self.program.wait_for(rf"\b{queue_id[1]}: to=<{user}@example.org>.* status=sent")
        return message_of(reply, self.mail / user)


_DOVECOT_CONF = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = /dev/stderr
protocols = lmtp
ssl = no
hostname = mail.example.org
postmaster_address = postmaster@example.org
mail_location = maildir:{dir}/mail/%n
mail_uid = {uid}
mail_gid = {gid}
passdb {
  driver = static
  args = password=none
}
userdb {
  driver = passwd-file
  args = {dir}/users
}
mail_plugins = quota
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=100M
}
service lmtp {
  unix_listener {dir}/lmtp {
    mode = 0600
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = {port}
  }
}
"""


class Dovecot:
    """A Dovecot that knows you@, also@ and little@example.org, whose mailbox takes 10,000 octets. urls: its LMTP socket
    and its LMTP port.
    """

    def __init__(self, directory: Path) -> None:
        self._dovecot = require("dovecot", "dovecot-core dovecot-lmtpd")
        if not Path("/usr/lib/dovecot/lmtp").exists():
            require("/usr/lib/dovecot/lmtp", "dovecot-lmtpd")
        require_root("dovecot")
        port = free_port()
        self.urls = {"unix": f"lmtp+unix:{directory}/lmtp", "tcp": f"lmtp://127.0.0.1:{port}"}
        self.mail = directory / "mail"
        self.mail.mkdir()
        os.chown(self.mail, _OWNER.pw_uid, _OWNER.pw_gid)
        little = "little@example.org:::::::userdb_quota_rule=*:bytes=10000"
        (directory / "users").write_text(f"you@example.org::::::\nalso@example.org::::::\n{little}\n")
        values = {"dir": directory, "port": port, "uid": _OWNER.pw_uid, "gid": _OWNER.pw_gid}
        self._config = directory / "dovecot.conf"
        self._config.write_text(_filled(_DOVECOT_CONF, values))
        self.program: Program

    def start(self) -> "Dovecot":
        """Run it, until it listens."""
        self.program = Program([self._dovecot, "-F", "-c", self._config], self._config.parent)
        self.program.wait_for("starting up for lmtp")
        return self

    def stop(self) -> None:
        """End all of its processes."""
        self.program.signal(signal.SIGTERM)
        self.program.wait()

    def delivered(self, reply: bytes | str, user: str = "you") -> bytes:
        """What a user got of the message that the gate's reply is about: LMTP answers when it is in the Maildir."""
        return message_of(reply, self.mail / user)


class SmtpSink:
    """Postfix's smtp-sink: takes every mail, and answers the final dot `hold` seconds later."""

    def __init__(self, directory: Path) -> None:
        self._smtp_sink = require("smtp-sink", "postfix")
        self._directory = directory
        self.port = free_port()
        self.url = f"smtp://127.0.0.1:{self.port}"
        self.program: Program

    def start(self, *options: str) -> "SmtpSink":
        """Run it, until it listens."""
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [self._smtp_sink, "-v", *user, *options, f"127.0.0.1:{self.port}", "100"]
        self.program = Program(command, self._directory)
        self.program.until_listening(self.port)
        return self


class PlayedDownstream:
    """A downstream whose part the test plays, reply by reply."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE)
        self.url = f"smtp://127.0.0.1:{self._listening.getsockname()[1]}"
        self._talks: list[Talk] = []

    def accept(self) -> Talk:
        """The gate's next connection, greeted up to EHLO's answer; not those that only ask what is offered."""
        while True:
            talk = Talk(self._listening.accept()[0])
            self._talks.append(talk)
            talk.send("220 played ESMTP")
            assert talk.line().startswith("EHLO ")
            talk.send("250-played", "250 8BITMIME")
            if not talk.begins_with("QUIT"):
                return talk

    def has_another(self) -> bool:
        """Whether the gate opened a connection that was not accepted yet."""
        self._listening.settimeout(0)
        try:
            self._listening.accept()[0].close()
        except BlockingIOError:
            return False
        finally:
            self._listening.settimeout(PATIENCE)
        return True

    def close(self) -> None:
        """Be gone."""
        for talk in self._talks:
            talk.close()
        self._listening.close()


def in_maildir(maildir: Path) -> list[bytes]:
    """Every message of a Maildir, with CRLF line ends."""
    files = (*maildir.glob("new/*"), *maildir.glob("cur/*"))
    return [file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for file in files]


def message_of(reply: bytes | str, maildir: Path) -> bytes:
    """The one message that the gate's reply is about: the reference stands in its Received field."""
    trace = f" with ESMTP id {ref(reply)}".encode()
    [message] = [message for message in in_maildir(maildir) if trace in message]
    return message


def _filled(template: str, values: dict[str, object]) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template
