-- How many students of each grade reached which performance band, per curriculum and unit.
-- Counts each student's latest attempt once.
SELECT
    curriculum,
    unit,
    grade,
    proficiency,
    count(*) AS students,
    round(avg(score), 1) AS average_score
FROM latest
WHERE response_type = 'overall' AND proficiency IS NOT NULL
GROUP BY ALL
-- As text, unit 10 comes before unit 2; unit_labels are written so that they sort.
ORDER BY curriculum, min(unit_labels), unit, grade, proficiency
