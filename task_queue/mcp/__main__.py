"""``task-queue mcp``: the server on standard input and output, for one client, until it closes them."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from mcp.server.stdio import stdio_server

from task_queue.app.agent_access import caller_here
from task_queue.app.installation import Installation
from task_queue.mcp.all_answers import all_answers
from task_queue.mcp.desk import Desk
from task_queue.mcp.server import server_for


def main() -> int:
    parser = argparse.ArgumentParser(prog="task-queue mcp")
    parser.add_argument("--config", required=True)
    parser.add_argument("--source")
    parser.add_argument("--read-only", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(message)s")
    caller = caller_here(read_only=arguments.read_only)
    desk = Desk(Installation(arguments.config), caller, arguments.source)
    try:
        asyncio.run(_serve(desk))
    except KeyboardInterrupt:
        return 130
    return 0


async def _serve(desk: Desk) -> None:
    server = server_for(desk)
    async with stdio_server() as streams, all_answers(*streams) as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    sys.exit(main())
