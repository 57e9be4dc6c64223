-- Which student has not mastered which standard, with the assessment's reporting group.
-- "group" is a reserved word in SQL, so that table's name is quoted.
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
