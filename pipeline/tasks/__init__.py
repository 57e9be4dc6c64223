"""The Luigi tasks: each says what it requires, what it outputs, and how it is built.

ReadRoster, ReadTitleRules, ReadOverrides, ReadSqlViews ─► CheckInputs
                                                              │
FetchMetadata ◄───────────────────────────────────────────────┘
   │
   ├─► ListAssessments
   └─► FetchScores overall, standard, group ─► CombineResults, CombineGroup
                                                  │
                           LabelAssessments ◄─────┤
                                  │               ├─► ListStandards
                              BuildViews ◄────────┘ ─► SqlView of each file
                                  │
                   CheckTables ─► Publish ─► Report ─► RunAll

Publish of each year, ConcatResults, ConcatGroup, ConcatView ─► PublishYears ─► RunYears
PublishedYear ─► LoadYear, CopyYear
"""
