"""Serve the made-up district until interrupted."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from pipeline.simulator import DEMO, Credentials, District, Protocol, Server, demo, serve_forever
from pipeline.years import today


def main(options: argparse.Namespace) -> int:
    """Serve it on the port; 1 if the port cannot be used."""
    credentials, day = Credentials(), today()
    data = Path("data") / ("simulated" if options.seed == 1 else f"simulated-{options.seed}")
    inputs = options.inputs or data / "inputs"
    if options.inputs or not options.for_parent:
        demo.ensure_inputs(inputs, day, options.seed)

    def ready(base_url: str) -> None:
        known = base_url, credentials.client_id, credentials.client_secret
        if options.for_parent:
            demo.print_address(*known)
        else:
            demo.print_instructions(inputs, data, *known)

    try:
        protocol = Protocol(latency_seconds=options.latency)
        size = replace(DEMO, dirtiness=options.dirtiness)
        district = District.make(options.seed, size, day)
        server = Server(district, protocol, credentials, options.port)
        serve_forever(server, ready, until_stdin_closes=options.for_parent)
    except OSError as error:
        print(
            f"Port {options.port} cannot be used: {error.strerror}. Choose another with --port; 0 "
            "means any that is free.",
            file=sys.stderr,
        )
        return 1
    return 0
