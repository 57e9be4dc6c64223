"""Tables with DuckDB: SQL over the shards, labels and roster joined.

Rows are in their order, but for the latest attempts.

python -m benchmarks.peers.tables_duckdb JOB.json FOLDER
"""

import duckdb

from benchmarks.peers.tables_job import YEAR, Job

_COMBINED = """
    create view combined as
    select '{year}' as year, 'overall' as response_type, 'percent' as standard_code, *
    from read_parquet({overall})
    union all by name
    select '{year}' as year, 'standard' as response_type, *
    from read_parquet({standard})
"""
_GROUP = """
    create view group_results as
    select '{year}' as year, 'group' as response_type, * from read_parquet({group})
"""
_VIEW = """
    create view view_rows as
    select
        'illuminate' as data_source, c.assessment_id, c.year, c.date_taken, r.grade,
        c.local_student_id, l.test_type, l.curriculum, l.unit, l.unit_labels,
        trim(c.title) as title, c.standard_code,
        floor(c.percent_correct::double + 0.5)::bigint as score,
        c.performance_band_level, c.performance_band_label,
        c.performance_band_level || ' ' || c.performance_band_label as proficiency,
        c.mastered, c.response_type, c.points, c.points_possible, c.academic_benchmark_guid
    from combined c
    left join read_csv('{labels}', all_varchar = true) l using (assessment_id)
    left join (
        select "STUDENTS.Student_Number" as local_student_id, "STUDENTS.Grade_Level" as grade
        from read_csv('{roster}', delim = '\t', types = {{'STUDENTS.Student_Number': 'VARCHAR'}})
    ) r using (local_student_id)
"""
_LATEST = """
    create view latest_rows as
    select *, count(distinct date_taken) over attempts as attempt,
        count(*) over attempts as attempts, count(*) over that_day as attempts_that_day
    from view_rows
    window attempts as (
        partition by response_type, assessment_id, standard_code, local_student_id,
            academic_benchmark_guid
    ),
    that_day as (attempts order by date_taken range current row),
    from_the_last as (attempts order by date_taken desc nulls last)
    qualify row_number() over from_the_last = 1
"""


def main() -> None:
    """Say what the tables are, then copy each into its two files."""
    job = Job.read()
    names = {
        "year": YEAR,
        "labels": job.labels,
        "roster": job.roster,
        **{endpoint: str(paths) for endpoint, paths in job.shards.items()},
    }
    with duckdb.connect() as database:
        for definition in (_COMBINED, _GROUP, _VIEW, _LATEST):
            database.execute(definition.format(**names))
        for table, source in (
            ("combined", "combined"),
            ("group", "group_results"),
            ("view", "view_rows"),
            ("latest", "latest_rows"),
        ):
            columns = ", ".join(job.columns[table])
            for ending in ("csv", "parquet"):
                place = job.place(table, ending)
                database.execute(f"copy (select {columns} from {source}) to '{place}'")  # noqa: S608


if __name__ == "__main__":
    main()
