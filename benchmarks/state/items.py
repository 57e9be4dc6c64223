"""Gives many items that only sleep to a cluster, and prints the seconds until all are done.

python -m benchmarks.state.items ADDRESS FILE NUMBER SECONDS

The file is one that workers must see; settings are those of the folder that it runs in, as theirs.
"""

import sys
import time
from pathlib import Path

from pipeline.state.cluster import Cluster


def main(address: str, shared: str, number: str, seconds: str) -> None:
    """Give them to the cluster, and wait for all of them."""
    cluster = Cluster(address, "", Path(shared))
    try:
        began = time.monotonic()
        for _ in cluster.map(time.sleep, [float(seconds)] * int(number)):
            pass
        print(time.monotonic() - began)
    finally:
        cluster.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
