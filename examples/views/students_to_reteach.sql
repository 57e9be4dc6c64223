-- Which student missed which standard, with the group that the assessment was reported for.
-- "group" is a word of SQL itself, so the table of that name stands in quotes.
SELECT
    latest.local_student_id,
    roster.grade,
    latest.curriculum,
    latest.standard_code,
    latest.date_taken,
    latest.points,
    latest.points_possible,
    latest.attempts,
    (SELECT min("group".reporting_group)
     FROM "group"
     WHERE "group".assessment_id = latest.assessment_id
       AND "group".local_student_id = latest.local_student_id) AS reporting_group
FROM latest
LEFT JOIN roster USING (local_student_id)
WHERE latest.response_type = 'standard' AND latest.mastered = 'f'
ORDER BY ALL
