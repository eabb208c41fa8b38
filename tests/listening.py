"""Servers that tests play: when a test is over so are all their connections, the latest ones too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def stop_listening(server: asyncio.Server) -> None:
    """Take nobody in any more. Whom asyncio takes in while its server is closed, it loses: that socket stays open."""
    for listening in server.sockets:
        asyncio.get_running_loop().remove_reader(listening.fileno())
    await asyncio.sleep(0)
    server.close()


@asynccontextmanager
async def listening(serve: Serve, *, path: Any = None, **options: Any) -> AsyncIterator[int]:
    """Serve every connection to a free port of 127.0.0.1, which is given, or to a Unix socket.

    options: as asyncio.start_server() takes them.
    """
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    # No coroutine: one that has not begun when the test ends would leave its connection to nobody.
    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[asyncio.ensure_future(serve(reader, writer))] = writer

    if path is not None:
        listener = await asyncio.start_unix_server(accept, path, **options)
    else:
        place = {} if "sock" in options else {"host": "127.0.0.1", "port": 0}
        listener = await asyncio.start_server(accept, **place, **options)
    try:
        yield 0 if path is not None else listener.sockets[0].getsockname()[1]
    finally:
        await stop_listening(listener)
        await asyncio.sleep(0)  # the last ones come in
        for task, writer in connections.items():
            task.cancel()
            writer.transport.abort()
        failures = await asyncio.gather(*connections, return_exceptions=True)
        await listener.wait_closed()
    for failure in failures:
        if isinstance(failure, Exception):
            raise failure
