"""What a Luigi worker of the benchmark is given: every district, each as a task of its own."""

from collections.abc import Sequence

import luigi

from pipeline.tasks.state import RunDistrict
from pipeline.years import SchoolYear


class AllDistricts(luigi.WrapperTask):
    """Every district of a state run, by name; `luigid` gives each of them to one worker."""

    names = luigi.Parameter(description="the districts, with commas")
    year = luigi.Parameter(description="the school year, like 23-24")
    run_id = luigi.Parameter(description="the id of the state run")

    def requires(self) -> Sequence[luigi.Task]:
        """The run of each district."""
        year = SchoolYear.parse(self.year)
        return [
            RunDistrict(district=name, year=year, run_id=self.run_id)  # type: ignore[no-untyped-call]
            for name in self.names.split(",")
        ]
