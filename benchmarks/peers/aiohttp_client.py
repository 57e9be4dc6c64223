"""Fetches with aiohttp, and discards: what its machinery costs before anything is done.

python -m benchmarks.peers.aiohttp_client --base-url URL --threads 16
"""

import argparse
import asyncio
import json

import aiohttp

from benchmarks.peers.drain import METHODS, NUMBERS, WINDOW, ids_in


class Client:
    """One session; so many requests at the same time."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, threads: int) -> None:
        self._session = session
        self._api = f"{base_url}/rest_server.php/Api"
        self._free = asyncio.Semaphore(threads)
        self.rows = dict.fromkeys(METHODS, 0)

    async def everything(self) -> None:
        """Fetch the catalogue, then each assessment's results at each endpoint."""
        pages = [await self._get("Assessments", 1)]
        pages += [
            await self._get("Assessments", n) for n in range(2, self._numbers(pages[0])[0] + 1)
        ]
        ids = dict.fromkeys(found for page in pages for found in ids_in(page))
        for kind in METHODS:
            await asyncio.gather(*(self._results(kind, assessment_id) for assessment_id in ids))

    async def _results(self, kind: str, assessment_id: str) -> None:
        query = f"&{WINDOW}&assessment_id={assessment_id}"
        pages, rows = self._numbers(await self._get(METHODS[kind], 1, query))
        self.rows[kind] += rows
        await asyncio.gather(*(self._get(METHODS[kind], n, query) for n in range(2, pages + 1)))

    async def _get(self, method: str, page: int, query: str = "") -> bytes:
        url = f"{self._api}/{method}/?page={page}&limit=1000{query}"
        async with self._free, self._session.get(url) as answer:
            return bytes(await answer.read())

    def _numbers(self, page: bytes) -> tuple[int, int]:
        """Pages and rows, as a page says them."""
        found = NUMBERS.match(page)
        return (int(found[2]), int(found[3])) if found else (0, 0)


async def run(base_url: str, threads: int) -> dict[str, int]:
    """Fetch everything; how many rows went by."""
    headers = {"Authorization": "Bearer a"}
    connector = aiohttp.TCPConnector(limit=threads)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        client = Client(session, base_url, threads)
        await client.everything()
        return client.rows


def main() -> None:
    """Fetch everything, and say how many rows went by."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(run(options.base_url, options.threads))))


if __name__ == "__main__":
    main()
