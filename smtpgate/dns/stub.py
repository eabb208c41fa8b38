"""The stub resolver: it asks the configured name servers, which do the resolving."""

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Sequence
from pathlib import Path

from smtpgate.dns.exchange import ask
from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.wire import CODES, FormatError, Record, Response, Soa
from smtpgate.values import Endpoint

log = logging.getLogger(__name__)

_MAX_CHAIN = 10  # CNAMEs; none that works is longer
_MAX_TRY = 2.0  # seconds until the next server is asked, or the only one again
_NO_SOA_TTL = 5  # seconds; RFC 2308 §5 forbids to keep such an answer, but one mail asks the same several times
_MAX_TTL = 2**31 - 1
# Each question in flight holds a file descriptor, which the sessions need too; the others wait for their turn.
_MAX_IN_FLIGHT = 256


class StubResolver:
    """Asks name servers over UDP and TCP. Use it through CachingResolver.

    nameservers: None for the system's. timeout: seconds for one question, whatever happens. A server that does not
    answer is asked last from then on.
    """

    def __init__(self, nameservers: Sequence[Endpoint] | None, timeout: float) -> None:
        self._servers = list(system_nameservers() if nameservers is None else nameservers)
        self._timeout = timeout
        self._turns = asyncio.Semaphore(_MAX_IN_FLIGHT)

    async def query(self, name: str, kind: RecordType) -> Answer:
        """Ask one question. Never raises, except when cancelled."""
        name = name.lower().removesuffix(".") if name.isascii() else name
        problems: dict[Endpoint, str] = {}  # of each server the last
        try:
            async with asyncio.timeout(self._timeout), self._turns:
                return await self._ask_servers(name, kind, problems)
        except TimeoutError:
            seen = f" ({'; '.join(problems.values())})" if problems else ""
            return _failure(name, kind, f"timed out after {self._timeout:g} s{seen}")
        except Exception:
            log.exception("DNS question %r %s", name, kind)
            return _failure(name, kind, "internal error")

    async def _ask_servers(self, name: str, kind: RecordType, problems: dict[Endpoint, str]) -> Answer:
        if not self._servers:
            return _failure(name, kind, "no name server configured")
        usable = list(self._servers)
        while usable:
            for server in tuple(usable):
                try:
                    async with asyncio.timeout(min(_MAX_TRY, self._timeout / 2)):
                        response = await ask(server.host, server.port, name, kind)
                    return _answer(name, kind, response)
                except TimeoutError:
                    problems[server] = f"no answer from {server.host}"
                    self._ask_last(server)
                except OSError as error:
                    problems[server] = f"{server.host}: {error.strerror or type(error).__name__}"
                    self._ask_last(server)
                    usable.remove(server)
                except FormatError as error:
                    problems[server] = f"{error} from {server.host}"
                    usable.remove(server)
                except ValueError:  # RFC 1035 §2.3.4: such a name cannot exist
                    return Answer(name, kind, Status.NO_NAME)
        return _failure(name, kind, "; ".join(problems.values()))

    def _ask_last(self, server: Endpoint) -> None:
        self._servers.remove(server)
        self._servers.append(server)


def system_nameservers(path: Path = Path("/etc/resolv.conf")) -> list[Endpoint]:
    """The name servers of resolv.conf(5); none if it is missing or names none. Reads a file: not on the event loop."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        if (words := line.split())[:1] == ["nameserver"]:
            with contextlib.suppress(IndexError, ValueError):
                found.append(Endpoint(str(ipaddress.ip_address(words[1])), 53))
    return found


def _failure(name: str, kind: RecordType, detail: str) -> Answer:
    return Answer(name, kind, Status.FAILURE, detail=detail)


def _answer(name: str, kind: RecordType, response: Response) -> Answer:
    """Make one of the four outcomes. FormatError: another server should be asked."""
    if response.error:
        raise FormatError(response.error)
    records, ttl = _follow(response, CODES[kind])
    if response.rcode == 3:  # NXDOMAIN; of the last name of the chain (RFC 2308 §2.1)
        if records:
            raise FormatError("NXDOMAIN with records")
        return Answer(name, kind, Status.NO_NAME, ttl=min(ttl, _negative_ttl(response)))
    if not records:
        codes = {record.code for record in response.authority}
        if CODES["NS"] in codes and CODES["SOA"] not in codes:  # RFC 2308 §2.2
            raise FormatError("a mere referral")
        return Answer(name, kind, Status.NO_DATA, ttl=min(ttl, _negative_ttl(response)))
    values = (record.value.host if isinstance(record.value, Soa) else record.value for record in records)
    return Answer(name, kind, Status.ANSWER, tuple(values), ttl)


def _follow(response: Response, code: int) -> tuple[list[Record], int]:
    """The records at the end of the chain of aliases, and the smallest TTL on the way (RFC 1034 §3.6.2)."""
    name, ttl = response.name, _MAX_TTL
    for _ in range(_MAX_CHAIN + 1):
        own = [record for record in response.answer if record.owner == name]
        found = [record for record in own if record.code == code]
        if found:
            return found, min(ttl, *(record.ttl for record in found))
        alias = next((record for record in own if record.code == CODES["CNAME"]), None)
        if alias is None:
            return [], ttl
        name, ttl = alias.value, min(ttl, alias.ttl)
    raise FormatError("a circle of aliases")


def _negative_ttl(response: Response) -> int:
    # RFC 2308 §5: the smaller of the SOA's own TTL and its last field.
    return min(
        (min(record.ttl, record.value.minimum) for record in response.authority if record.code == CODES["SOA"]),
        default=_NO_SOA_TTL,
    )
