"""What a run needs of its process: enough open files, and what polars reads when it is imported."""

import os
import resource

from pipeline.config import sections, settings
from pipeline.errors import StorageError

_OWN_FILES = 64
_FOR_POLARS = {
    # How its allocator, jemalloc, keeps freed memory. Without it, the tables of a district of
    # 4 million rows take 13 % more memory.
    "_RJEM_MALLOC_CONF": "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0",
    # How much of a CSV file it reads at once, in bytes, and how many row groups of a Parquet file
    # it reads ahead. Without them, the tables of four years of 3 million rows each are concatenated
    # in 1,050 MB, with them in 230, for the same processor time. No argument of `scan_csv` or
    # `scan_parquet` has this effect.
    "POLARS_CSV_CHUNK_SIZE": "1000000",
    "POLARS_ROW_GROUP_PREFETCH_SIZE": "1",
}


def prepare() -> None:
    """Set polars up, before it is imported.

    Raises:
        StorageError: the process may open fewer files than the configured threads need.
    """
    if count := settings.read(sections.build).threads:
        os.environ["POLARS_MAX_THREADS"] = str(count)
    for name, value in _FOR_POLARS.items():
        os.environ.setdefault(name, value)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OWN_FILES + 4 * settings.threads()
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise StorageError(
            f"This process may open {limit} files and needs {needed}. Raise the limit "
            "(ulimit -n), then run the same command again. Nothing was changed."
        )
