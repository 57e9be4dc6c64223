"""Serve the made-up district until interrupted."""

import argparse
import sys
from dataclasses import replace

from pipeline.simulator import DEMO, Credentials, District, Protocol, Server, demo, serve_forever
from pipeline.years import today


def main(options: argparse.Namespace) -> int:
    """Serve it on the port; 1 if the port cannot be used."""
    credentials, day = Credentials(), today()
    if options.inputs:
        demo.ensure_inputs(options.inputs, day, options.seed)

    def ready(base_url: str) -> None:
        write = demo.print_address if options.for_parent else demo.print_instructions
        write(base_url, credentials.client_id, credentials.client_secret)

    try:
        protocol = Protocol(latency_seconds=options.latency)
        size = replace(DEMO, dirtiness=options.dirtiness)
        district = District.make(options.seed, size, day)
        server = Server(district, protocol, credentials, options.port)
        serve_forever(server, ready, until_stdin_closes=options.for_parent)
    except OSError as error:
        print(f"Port {options.port} cannot be used: {error.strerror}.", file=sys.stderr)
        return 1
    return 0
