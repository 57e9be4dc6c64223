"""The Luigi tasks: thin, each wires pure functions to files.

ReadInputs ─► FetchMetadata ─► FetchScores overall, standard, group
                   │                │
             ListAssessments   LabelAssessments, CombineResults, CombineGroup
                   │                │
                   │           BuildViews ─► SqlView of each file
                   └──► CheckTables ◄┘
                            │
                         Publish ─► Report ─► RunAll

ReadPriorYears, RunAll of each year ─► UniteResults, UniteGroup, UniteView
                                                     │
                                               PublishYears ─► RunYears
"""
