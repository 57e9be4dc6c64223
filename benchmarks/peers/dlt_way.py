"""dlt: its REST source with parallel resources, into Parquet files on this disk.

Written as its documentation does it: the catalogue is a resource, and the results of each
endpoint are resources that take their `assessment_id` from it. Runs in an environment of its own.

    python -m benchmarks.peers.dlt_way --base-url URL --threads 16 --out FOLDER
"""

import argparse
import os
from pathlib import Path
from typing import Any

METHODS = {
    "overall": "AssessmentAggregateStudentResponses",
    "standard": "AssessmentAggregateStudentResponsesStandard",
    "group_results": "AssessmentAggregateStudentResponsesGroup",
}
_PAGE = 1000
_WINDOW = {"date_taken_start": "2023-07-01", "date_taken_end": "2024-06-30"}


def source(base_url: str) -> dict[str, Any]:
    """The API, in the words of dlt's REST source."""
    return {
        "client": {
            "base_url": f"{base_url}/rest_server.php/Api/",
            "auth": {
                "type": "oauth2_client_credentials",
                "access_token_url": f"{base_url}/?OAuth2_AccessToken",
                "client_id": "demo",
                "client_secret": "demo",
            },
            "paginator": {
                "type": "page_number",
                "base_page": 1,
                "page_param": "page",
                "total_path": "num_pages",
            },
        },
        "resource_defaults": {
            "write_disposition": "replace",
            "parallelized": True,
            "max_table_nesting": 0,
        },
        "resources": [
            {
                "name": "assessments",
                "endpoint": {
                    "path": "Assessments/",
                    "params": {"limit": _PAGE},
                    "data_selector": "results",
                },
            },
            *(results(name, method) for name, method in METHODS.items()),
        ],
    }


def results(name: str, method: str) -> dict[str, Any]:
    """The results of every assessment at one endpoint."""
    assessment = "{resources.assessments.assessment_id}"
    return {
        "name": name,
        "endpoint": {
            "path": f"{method}/",
            "params": {"limit": _PAGE, **_WINDOW, "assessment_id": assessment},
            "data_selector": "results",
        },
    }


def main() -> None:
    """Extract, normalise and load."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    os.environ |= {
        "EXTRACT__WORKERS": str(options.threads),
        "EXTRACT__MAX_PARALLEL_ITEMS": str(4 * options.threads),
        "NORMALIZE__WORKERS": str(os.cpu_count() or 1),
        "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "250000",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
    import dlt
    from dlt.sources.rest_api import rest_api_source

    pipeline = dlt.pipeline(
        "illuminate",
        pipelines_dir=str(options.out / "pipelines"),
        destination=dlt.destinations.filesystem(bucket_url=(options.out / "files").as_uri()),
        dataset_name="results",
    )
    pipeline.run(rest_api_source(source(options.base_url)), loader_file_format="parquet")


if __name__ == "__main__":
    main()
