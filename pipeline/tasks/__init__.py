"""The Luigi tasks: each says what it requires, what it outputs, and how it is built.

ReadRoster, ReadTitleRules, ReadOverrides, ReadSqlViews ─► CheckInputs; ReadRoster ─► ListStudents
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
  ListStudents, CheckTables, DescribeYear ─► Publish ─► Report ─► RunAll

ConcatResults, ConcatGroup, ConcatView ─► DescribeYears ─► PublishYears ─► RunYears
                                        Publish of each year ─┘
PublishedYear ─► LoadYear, CopyYear
RunDistrict of each district and year ─► PublishState ─► RunState
RebuildState
"""
