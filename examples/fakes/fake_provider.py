#!/usr/bin/env python3
"""Fake model providers for the demo and the tests. `README.md` tells what they can do."""

from __future__ import annotations

import argparse
import asyncio
import signal

from fakes.server import DIALECTS, Server, tls_context


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for dialect in DIALECTS:
        parser.add_argument(
            f"--{dialect}",
            action="append",
            default=[],
            metavar="HOST:PORT",
            help=f"serve the {dialect} dialect here; may be repeated",
        )
    parser.add_argument(
        "--tls", nargs=2, metavar=("CERT", "KEY"), help="serve TLS on every address"
    )
    parser.add_argument("--log", action="store_true", help="print a line for each request")
    arguments = parser.parse_args()
    if not any(getattr(arguments, dialect) for dialect in DIALECTS):
        parser.error("give at least one address")
    try:
        asyncio.run(serve(arguments))
    except KeyboardInterrupt:
        pass


async def serve(arguments: argparse.Namespace) -> None:
    """Listens on every address and says so, then serves until told to stop."""
    tls = tls_context(*arguments.tls) if arguments.tls else None
    siblings: dict[int, Server] = {}
    for dialect in DIALECTS:
        for address in getattr(arguments, dialect):
            host, _, port = address.rpartition(":")
            server = Server(dialect, host, int(port), siblings, tls=tls, log=arguments.log)
            await server.start()
            print(f"{dialect} listens on {host}:{server.port}", flush=True)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    main()
