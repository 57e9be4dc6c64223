"""The way of the script that this project began from, rewritten from its description.

Threads; `requests.get` for each page, without a session; pandas frames in memory; the three
endpoints one after the other; labels from the words of titles; CSV files at the end.

    python -m benchmarks.peers.seeds_way --base-url URL --threads 16 --roster FILE --out FOLDER
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import requests

from benchmarks.peers import frames

YEAR = "23-24"

_WINDOW = {"date_taken_start": "2023-07-01", "date_taken_end": "2024-06-30"}
_SECONDS = 60
_CURRICULA = {
    "Math": "Math|Unit|Algebra|Geometry|Zearn",
    "ELA": "ELA|EL Education|Wit & Wisdom|Reading",
    "Science": "Science|Biology",
}


def main() -> None:
    """Fetch, combine, label and save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--roster", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    headers = {"Authorization": f"Bearer {get_token(options.base_url)}"}
    get = partial(get_page, f"{options.base_url}/rest_server.php/Api", headers)
    assessments = get_all(get, "Assessments")
    ids = list(assessments["assessment_id"].drop_duplicates())
    method = "AssessmentAggregateStudentResponses"
    overall, standard, group = (
        get_scores(get, f"{method}{kind}", ids, options.threads)
        for kind in ("", "Standard", "Group")
    )
    combined = frames.combine(overall, standard, YEAR)
    roster = frames.read_roster(options.roster)
    view = frames.view(combined, label(combined["title"], combined["assessment_id"]), roster)
    frames.write(options.out, combined=combined, group=frames.group(group, YEAR), view=view)


def get_token(base_url: str) -> str:
    """The token of client credentials."""
    form = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo"}
    reply = requests.post(f"{base_url}/?OAuth2_AccessToken", data=form, timeout=_SECONDS)
    return str(reply.json()["access_token"])


def get_page(api: str, headers: dict[str, str], method: str, **params: str | int) -> Any:  # noqa: ANN401
    """One page."""
    reply = requests.get(
        f"{api}/{method}/", params={"limit": 1000, **params}, headers=headers, timeout=_SECONDS
    )
    return reply.json()


def get_all(get: Any, method: str, **params: str) -> pd.DataFrame:  # noqa: ANN401
    """All pages of one query."""
    first = get(method, page=1, **params)
    results = first["results"]
    for page in range(2, first["num_pages"] + 1):
        results += get(method, page=page, **params)["results"]
    return pd.DataFrame(results).drop(columns="__count", errors="ignore")


def get_scores(get: Any, method: str, ids: list[str], threads: int) -> pd.DataFrame:  # noqa: ANN401
    """The results of every assessment at one endpoint."""
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda i: get_all(get, method, assessment_id=i, **_WINDOW), ids)
        return pd.concat([frame for frame in found if len(frame)])


def label(titles: pd.Series, ids: pd.Series) -> pd.DataFrame:
    """Curriculum and unit of each assessment, from the words of its title."""
    found = pd.DataFrame({"assessment_id": ids, "title": titles}).drop_duplicates("assessment_id")
    title = found["title"]
    found["curriculum"] = None
    for name, words in _CURRICULA.items():
        found.loc[title.str.contains(words), "curriculum"] = name
    found["unit"] = title.str.extract(r"((?:Unit|Module|Interim) \d+)", expand=False)
    found["test_type"] = title.str.extract("(Checkpoint|Exit Ticket|Assessment)", expand=False)
    found["unit_labels"] = found["unit"].str.extract(r"(\d+)", expand=False)
    return found[frames.LABELS]


if __name__ == "__main__":
    main()
