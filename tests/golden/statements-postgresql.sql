-- claim

UPDATE hpo_cell
SET state=:state, token=:new_token, worker=:new_worker, lease_until=(extract(epoch from clock_timestamp())::float8 + :length), lease_seconds=:length, attempts=(hpo_cell.attempts + :attempts_1), claims=(hpo_cell.claims + :claims_1), started=coalesce(hpo_cell.started, extract(epoch from clock_timestamp())::float8)
WHERE hpo_cell.id = (SELECT min(anon_1.id) AS min_1
  FROM (
    SELECT (
      SELECT hpo_cell.id
      FROM hpo_cell
      WHERE hpo_cell.study_id = hpo_study.id
      AND hpo_cell.state IN ('planned', 'leased')
      AND (hpo_cell.state = :state_1
        AND (hpo_cell.leader IS NULL
          OR (EXISTS (
              SELECT *
              FROM hpo_cell AS leader
              WHERE leader.id = hpo_cell.leader
              AND (leader.state IN (…)
                OR leader.epochs >= hpo_cell.leader_epochs))))
        OR hpo_cell.state = :state_3
        AND (hpo_cell.lease_until < extract(epoch from clock_timestamp())::float8
          OR hpo_cell.lease_until > extract(epoch from clock_timestamp())::float8 + hpo_cell.lease_seconds))
      AND (hpo_cell.id NOT IN (NULL)
        OR (1 = 1))
      ORDER BY hpo_cell.id
      LIMIT :param_1
      FOR UPDATE OF hpo_cell SKIP LOCKED) AS id
    FROM hpo_study
    WHERE hpo_study.state = :state_4
    AND (hpo_study.uuid NOT IN (NULL)
      OR (1 = 1))) AS anon_1)
RETURNING hpo_cell.study_id, (
  SELECT hpo_study.uuid
  FROM hpo_study
  WHERE hpo_study.id = hpo_cell.study_id) AS study_uuid, hpo_cell.token, hpo_cell.id, hpo_cell.arm, hpo_cell.phase, hpo_cell.slot, hpo_cell.seed, hpo_cell.params, hpo_cell.state, hpo_cell.attempts, hpo_cell.claims, hpo_cell.leader, hpo_cell.leader_epochs, hpo_cell.trial_id, hpo_cell.trial_number, hpo_cell.epochs, hpo_cell.seconds, hpo_cell.ended, hpo_cell.score, hpo_cell.metrics, substr(hpo_cell.error, :substr_1, :substr_2) AS error, substr(hpo_cell.reason, :substr_3, :substr_4) AS reason, hpo_cell.failed_by, hpo_cell.worker, hpo_cell.started, hpo_cell.finished, set_config('synchronous_commit', 'off', true) AS anon_2;

-- begin the trial, and propose its parameters

select study_id
from studies
where study_name = :optuna_study
for update;
with held as (
  select id
  from hpo_cell
  where id = :held_cell
  and token = :held_token
  and state = 'leased'
  and trial_id is null
  for update), ours as (
  select studies.study_id
  from studies
  join study_user_attributes mark on mark.study_id = studies.study_id
  where studies.study_name = :optuna_study
  and mark.key = 'hpo'
  and mark.value_json = :mark), trial as (
  insert into trials (study_id, number, state, datetime_start)
  select ours.study_id, 1 + coalesce( (
      select number
      from trials
      where study_id = ours.study_id
      order by trial_id desc
      limit 1), -1 ), 'RUNNING', :started
  from held, ours
  returning trial_id, number, study_id), borne as (
  insert into trial_user_attributes (trial_id, key, value_json)
  select trial_id, 'cell', :bears
  from trial)
update hpo_cell
set trial_id = trial.trial_id, trial_number = trial.number
from trial
where hpo_cell.id = :held_cell
returning trial.trial_id, trial.number, trial.study_id;

WITH "some" AS (
  SELECT trials.trial_id AS trial_id, trials.number AS number, trials.study_id AS study_id, trials.state AS state, trials.datetime_start AS datetime_start, trials.datetime_complete AS datetime_complete
  FROM trials
  WHERE (trials.trial_id > :known
    OR trials.trial_id IN (NULL)
    AND (1 != 1))
  AND trials.study_id = :of_study)
SELECT "some".trial_id, CAST(:param_1 AS INTEGER) AS kind, CAST(NULL AS TEXT) AS key, CAST("some".number AS INTEGER) AS integer, CAST(NULL AS FLOAT(53)) AS real, CAST("some".state AS TEXT) AS text, "some".datetime_start, "some".datetime_complete
FROM "some"
UNION ALL
SELECT trial_params.trial_id, CAST(:param_2 AS INTEGER) AS kind, CAST(trial_params.param_name AS TEXT) AS key, CAST(trial_params.param_id AS INTEGER) AS integer, CAST(trial_params.param_value AS FLOAT(53)) AS real, CAST(trial_params.distribution_json AS TEXT) AS text, NULL AS anon_1, NULL AS anon__1
FROM trial_params
JOIN "some" ON "some".trial_id = trial_params.trial_id
UNION ALL
SELECT trial_values.trial_id, CAST(:param_3 AS INTEGER) AS kind, CAST(NULL AS TEXT) AS key, CAST(trial_values.objective AS INTEGER) AS integer, CAST(trial_values.value AS FLOAT(53)) AS real, CAST(trial_values.value_type AS TEXT) AS text, NULL AS anon_1, NULL AS anon__1
FROM trial_values
JOIN "some" ON "some".trial_id = trial_values.trial_id
UNION ALL
SELECT trial_intermediate_values.trial_id, CAST(:param_4 AS INTEGER) AS kind, CAST(NULL AS TEXT) AS key, CAST(trial_intermediate_values.step AS INTEGER) AS integer, CAST(trial_intermediate_values.intermediate_value AS FLOAT(53)) AS real, CAST(trial_intermediate_values.intermediate_value_type AS TEXT) AS text, NULL AS anon_1, NULL AS anon__1
FROM trial_intermediate_values
JOIN "some" ON "some".trial_id = trial_intermediate_values.trial_id
UNION ALL
SELECT trial_user_attributes.trial_id, CAST(:param_5 AS INTEGER) AS kind, CAST(trial_user_attributes.key AS TEXT) AS key, CAST(NULL AS INTEGER) AS integer, CAST(NULL AS FLOAT(53)) AS real, CAST(trial_user_attributes.value_json AS TEXT) AS text, NULL AS anon_1, NULL AS anon__1
FROM trial_user_attributes
JOIN "some" ON "some".trial_id = trial_user_attributes.trial_id
UNION ALL
SELECT trial_system_attributes.trial_id, CAST(:param_6 AS INTEGER) AS kind, CAST(trial_system_attributes.key AS TEXT) AS key, CAST(NULL AS INTEGER) AS integer, CAST(NULL AS FLOAT(53)) AS real, CAST(trial_system_attributes.value_json AS TEXT) AS text, NULL AS anon_1, NULL AS anon__1
FROM trial_system_attributes
JOIN "some" ON "some".trial_id = trial_system_attributes.trial_id
UNION ALL
SELECT studies.study_id, CAST(:param_7 AS INTEGER) AS anon_2, CAST(studies.study_name AS TEXT) AS study_name, CAST(NULL AS INTEGER) AS anon_1, CAST(NULL AS FLOAT(53)) AS anon__2, study_user_attributes.value_json, (
  SELECT trials.datetime_start
  FROM trials
  WHERE trials.trial_id = :known_latest
  AND trials.study_id = :of_study) AS anon_3, NULL AS anon__3
FROM studies
LEFT OUTER JOIN study_user_attributes ON study_user_attributes.study_id = studies.study_id
AND study_user_attributes.key = :key_1
WHERE studies.study_id = :of_study;

WITH held AS (
  UPDATE hpo_cell
  SET params=:proposed
  WHERE hpo_cell.id = :held_cell
  AND hpo_cell.token = :held_token
  AND hpo_cell.state = :state_1
  RETURNING hpo_cell.id), write_0 AS (
  INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) SELECT CAST(:w0_0_trial_id AS INTEGER) AS anon_1, :w0_0_param_name AS anon_2, CAST(:w0_0_param_value AS FLOAT(53)) AS anon_3, CAST(:w0_0_distribution_json AS TEXT) AS anon_4
  FROM held
  WHERE (EXISTS (
      SELECT trials.trial_id
      FROM trials
      WHERE trials.trial_id = :open_trial
      AND trials.state IN (…)))
  AND (EXISTS (
      SELECT trial_user_attributes.trial_id
      FROM trial_user_attributes
      WHERE trial_user_attributes.trial_id = :open_trial
      AND trial_user_attributes.key = :key_1
      AND trial_user_attributes.value_json = :of_cell))
  ON CONFLICT (trial_id, param_name) DO NOTHING), write_1 AS (
  INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT CAST(:w1_0_trial_id AS INTEGER) AS anon_5, :w1_0_key AS anon_6, CAST(:w1_0_value_json AS TEXT) AS anon_7
  FROM held
  WHERE (EXISTS (
      SELECT trials.trial_id
      FROM trials
      WHERE trials.trial_id = :open_trial
      AND trials.state IN (…)))
  AND (EXISTS (
      SELECT trial_user_attributes.trial_id
      FROM trial_user_attributes
      WHERE trial_user_attributes.trial_id = :open_trial
      AND trial_user_attributes.key = :key_1
      AND trial_user_attributes.value_json = :of_cell))
  ON CONFLICT (trial_id, key) DO UPDATE
  SET value_json = excluded.value_json)
SELECT held.id
FROM held;

-- record an epoch, which is a rung

WITH held AS (
  UPDATE hpo_cell
  SET lease_until=(extract(epoch from clock_timestamp())::float8 + :length), lease_seconds=:length, attempts=CASE WHEN (:epoch > hpo_cell.epochs) THEN :param_1 ELSE hpo_cell.attempts END, failed_by=CASE WHEN (:epoch > hpo_cell.epochs) THEN NULL ELSE hpo_cell.failed_by END, epochs=CASE WHEN (:epoch > hpo_cell.epochs) THEN :epoch ELSE hpo_cell.epochs END, seconds=((SELECT coalesce(sum(hpo_curve.seconds), :coalesce_2) AS coalesce_1
      FROM hpo_curve
      WHERE hpo_curve.cell_id = hpo_cell.id
      AND hpo_curve.at > coalesce(hpo_cell.leader_epochs, :coalesce_3)
      AND (hpo_curve.at < :first_epoch
        OR hpo_curve.at > :epoch)) + :spent)
  WHERE hpo_cell.id = :held_cell
  AND hpo_cell.token = :held_token
  AND hpo_cell.state = :state_1
  RETURNING (
    SELECT hpo_study.state
    FROM hpo_study
    WHERE hpo_study.id = hpo_cell.study_id) AS state), write_0 AS (
  INSERT INTO hpo_curve (cell_id, at, seconds, metrics) SELECT CAST(:w0_0_cell_id AS INTEGER) AS anon_1, CAST(:w0_0_at AS INTEGER) AS anon_2, CAST(:w0_0_seconds AS FLOAT) AS anon_3, CAST(:w0_0_metrics AS TEXT) AS anon_4
  FROM held
  WHERE true
  ON CONFLICT (cell_id, at) DO UPDATE
  SET seconds = excluded.seconds, metrics = excluded.metrics), write_1 AS (
  INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) SELECT CAST(:w1_0_trial_id AS INTEGER) AS anon_5, CAST(:w1_0_step AS INTEGER) AS anon_6, CAST(:w1_0_intermediate_value AS FLOAT(53)) AS anon_7, CAST(:w1_0_intermediate_value_type AS trialintermediatevaluetype) AS anon_8
  FROM held
  WHERE (EXISTS (
      SELECT trials.trial_id
      FROM trials
      WHERE trials.trial_id = :open_trial
      AND trials.state IN (…)))
  AND (EXISTS (
      SELECT trial_user_attributes.trial_id
      FROM trial_user_attributes
      WHERE trial_user_attributes.trial_id = :open_trial
      AND trial_user_attributes.key = :key_1
      AND trial_user_attributes.value_json = :of_cell))
  ON CONFLICT (trial_id, step) DO UPDATE
  SET intermediate_value = excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type)
SELECT held.state
FROM held;

-- record three epochs

WITH held AS (
  UPDATE hpo_cell
  SET lease_until=(extract(epoch from clock_timestamp())::float8 + :length), lease_seconds=:length, attempts=CASE WHEN (:epoch > hpo_cell.epochs) THEN :param_1 ELSE hpo_cell.attempts END, failed_by=CASE WHEN (:epoch > hpo_cell.epochs) THEN NULL ELSE hpo_cell.failed_by END, epochs=CASE WHEN (:epoch > hpo_cell.epochs) THEN :epoch ELSE hpo_cell.epochs END, seconds=((SELECT coalesce(sum(hpo_curve.seconds), :coalesce_2) AS coalesce_1
      FROM hpo_curve
      WHERE hpo_curve.cell_id = hpo_cell.id
      AND hpo_curve.at > coalesce(hpo_cell.leader_epochs, :coalesce_3)
      AND (hpo_curve.at < :first_epoch
        OR hpo_curve.at > :epoch)) + :spent)
  WHERE hpo_cell.id = :held_cell
  AND hpo_cell.token = :held_token
  AND hpo_cell.state = :state_1
  RETURNING (
    SELECT hpo_study.state
    FROM hpo_study
    WHERE hpo_study.id = hpo_cell.study_id) AS state), write_0 AS (
  INSERT INTO hpo_curve (cell_id, at, seconds, metrics) SELECT CAST(:w0_0_cell_id AS INTEGER) AS anon_1, CAST(:w0_0_at AS INTEGER) AS anon_2, CAST(:w0_0_seconds AS FLOAT) AS anon_3, CAST(:w0_0_metrics AS TEXT) AS anon_4
  FROM held
  WHERE true
  UNION ALL SELECT CAST(:w0_1_cell_id AS INTEGER) AS anon_5, CAST(:w0_1_at AS INTEGER) AS anon_6, CAST(:w0_1_seconds AS FLOAT) AS anon_7, CAST(:w0_1_metrics AS TEXT) AS anon_8
  FROM held
  WHERE true
  UNION ALL SELECT CAST(:w0_2_cell_id AS INTEGER) AS anon_9, CAST(:w0_2_at AS INTEGER) AS anon_10, CAST(:w0_2_seconds AS FLOAT) AS anon_11, CAST(:w0_2_metrics AS TEXT) AS anon_12
  FROM held
  WHERE true
  ON CONFLICT (cell_id, at) DO UPDATE
  SET seconds = excluded.seconds, metrics = excluded.metrics)
SELECT held.state
FROM held;

-- record an epoch with a checkpoint

WITH held AS (
  UPDATE hpo_cell
  SET lease_until=(extract(epoch from clock_timestamp())::float8 + :length), lease_seconds=:length, attempts=CASE WHEN (:epoch > hpo_cell.epochs) THEN :param_1 ELSE hpo_cell.attempts END, failed_by=CASE WHEN (:epoch > hpo_cell.epochs) THEN NULL ELSE hpo_cell.failed_by END, epochs=CASE WHEN (:epoch > hpo_cell.epochs) THEN :epoch ELSE hpo_cell.epochs END, seconds=((SELECT coalesce(sum(hpo_curve.seconds), :coalesce_2) AS coalesce_1
      FROM hpo_curve
      WHERE hpo_curve.cell_id = hpo_cell.id
      AND hpo_curve.at > coalesce(hpo_cell.leader_epochs, :coalesce_3)
      AND (hpo_curve.at < :first_epoch
        OR hpo_curve.at > :epoch)) + :spent)
  WHERE hpo_cell.id = :held_cell
  AND hpo_cell.token = :held_token
  AND hpo_cell.state = :state_1
  RETURNING (
    SELECT hpo_study.state
    FROM hpo_study
    WHERE hpo_study.id = hpo_cell.study_id) AS state), write_0 AS (
  INSERT INTO hpo_curve (cell_id, at, seconds, metrics) SELECT CAST(:w0_0_cell_id AS INTEGER) AS anon_1, CAST(:w0_0_at AS INTEGER) AS anon_2, CAST(:w0_0_seconds AS FLOAT) AS anon_3, CAST(:w0_0_metrics AS TEXT) AS anon_4
  FROM held
  WHERE true
  ON CONFLICT (cell_id, at) DO UPDATE
  SET seconds = excluded.seconds, metrics = excluded.metrics), write_1 AS (
  INSERT INTO hpo_checkpoint (cell_id, content, saved) SELECT CAST(:w1_0_cell_id AS INTEGER) AS anon_5, CAST(:w1_0_content AS BYTEA) AS anon_6, extract(epoch from clock_timestamp())::float8 AS anon_7
  FROM held
  WHERE true
  ON CONFLICT (cell_id) DO UPDATE
  SET content = excluded.content, saved = excluded.saved)
SELECT held.state
FROM held;

-- record a rung with the pruner's question

WITH held AS (
  UPDATE hpo_cell
  SET lease_until=(extract(epoch from clock_timestamp())::float8 + :length), lease_seconds=:length, attempts=CASE WHEN (:epoch > hpo_cell.epochs) THEN :param_1 ELSE hpo_cell.attempts END, failed_by=CASE WHEN (:epoch > hpo_cell.epochs) THEN NULL ELSE hpo_cell.failed_by END, epochs=CASE WHEN (:epoch > hpo_cell.epochs) THEN :epoch ELSE hpo_cell.epochs END, seconds=((SELECT coalesce(sum(hpo_curve.seconds), :coalesce_2) AS coalesce_1
      FROM hpo_curve
      WHERE hpo_curve.cell_id = hpo_cell.id
      AND hpo_curve.at > coalesce(hpo_cell.leader_epochs, :coalesce_3)
      AND (hpo_curve.at < :first_epoch
        OR hpo_curve.at > :epoch)) + :spent)
  WHERE hpo_cell.id = :held_cell
  AND hpo_cell.token = :held_token
  AND hpo_cell.state = :state_1
  RETURNING (
    SELECT hpo_study.state
    FROM hpo_study
    WHERE hpo_study.id = hpo_cell.study_id) AS state), write_0 AS (
  INSERT INTO hpo_curve (cell_id, at, seconds, metrics) SELECT CAST(:w0_0_cell_id AS INTEGER) AS anon_1, CAST(:w0_0_at AS INTEGER) AS anon_2, CAST(:w0_0_seconds AS FLOAT) AS anon_3, CAST(:w0_0_metrics AS TEXT) AS anon_4
  FROM held
  WHERE true
  ON CONFLICT (cell_id, at) DO UPDATE
  SET seconds = excluded.seconds, metrics = excluded.metrics), write_1 AS (
  INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) SELECT CAST(:w1_0_trial_id AS INTEGER) AS anon_5, CAST(:w1_0_step AS INTEGER) AS anon_6, CAST(:w1_0_intermediate_value AS FLOAT(53)) AS anon_7, CAST(:w1_0_intermediate_value_type AS trialintermediatevaluetype) AS anon_8
  FROM held
  WHERE (EXISTS (
      SELECT trials.trial_id
      FROM trials
      WHERE trials.trial_id = :open_trial
      AND trials.state IN (…)))
  AND (EXISTS (
      SELECT trial_user_attributes.trial_id
      FROM trial_user_attributes
      WHERE trial_user_attributes.trial_id = :open_trial
      AND trial_user_attributes.key = :key_1
      AND trial_user_attributes.value_json = :of_cell))
  ON CONFLICT (trial_id, step) DO UPDATE
  SET intermediate_value = excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type), "some" AS (
  SELECT trials.trial_id AS trial_id, trials.number AS number, trials.study_id AS study_id, trials.state AS state, trials.datetime_start AS datetime_start, trials.datetime_complete AS datetime_complete
  FROM trials
  WHERE (trials.trial_id > :known
    OR trials.trial_id IN (…))
  AND trials.study_id = :of_study)
SELECT held.state, read.trial_id, read.kind, read.key, read.integer, read.real, read.text, read.datetime_start, read.datetime_complete
FROM held
LEFT OUTER JOIN (
  SELECT "some".trial_id AS trial_id, CAST(:param_2 AS INTEGER) AS kind, CAST(NULL AS TEXT) AS key, CAST("some".number AS INTEGER) AS integer, CAST(NULL AS FLOAT(53)) AS real, CAST("some".state AS TEXT) AS text, "some".datetime_start AS datetime_start, "some".datetime_complete AS datetime_complete
  FROM "some"
  UNION ALL
  SELECT trial_params.trial_id AS trial_id, CAST(:param_3 AS INTEGER) AS kind, CAST(trial_params.param_name AS TEXT) AS key, CAST(trial_params.param_id AS INTEGER) AS integer, CAST(trial_params.param_value AS FLOAT(53)) AS real, CAST(trial_params.distribution_json AS TEXT) AS text, NULL AS anon_9, NULL AS anon__1
  FROM trial_params
  JOIN "some" ON "some".trial_id = trial_params.trial_id
  WHERE "some".state IN (…)
  UNION ALL
  SELECT trial_values.trial_id AS trial_id, CAST(:param_4 AS INTEGER) AS kind, CAST(NULL AS TEXT) AS key, CAST(trial_values.objective AS INTEGER) AS integer, CAST(trial_values.value AS FLOAT(53)) AS real, CAST(trial_values.value_type AS TEXT) AS text, NULL AS anon_9, NULL AS anon__1
  FROM trial_values
  JOIN "some" ON "some".trial_id = trial_values.trial_id
  WHERE "some".state IN (…)
  UNION ALL
  SELECT trial_intermediate_values.trial_id AS trial_id, CAST(:param_5 AS INTEGER) AS kind, CAST(NULL AS TEXT) AS key, CAST(trial_intermediate_values.step AS INTEGER) AS integer, CAST(trial_intermediate_values.intermediate_value AS FLOAT(53)) AS real, CAST(trial_intermediate_values.intermediate_value_type AS TEXT) AS text, NULL AS anon_9, NULL AS anon__1
  FROM trial_intermediate_values
  JOIN "some" ON "some".trial_id = trial_intermediate_values.trial_id
  WHERE "some".state IN (…)
  UNION ALL
  SELECT trial_user_attributes.trial_id AS trial_id, CAST(:param_6 AS INTEGER) AS kind, CAST(trial_user_attributes.key AS TEXT) AS key, CAST(NULL AS INTEGER) AS integer, CAST(NULL AS FLOAT(53)) AS real, CAST(trial_user_attributes.value_json AS TEXT) AS text, NULL AS anon_9, NULL AS anon__1
  FROM trial_user_attributes
  JOIN "some" ON "some".trial_id = trial_user_attributes.trial_id
  WHERE "some".state IN (…)
  UNION ALL
  SELECT trial_system_attributes.trial_id AS trial_id, CAST(:param_7 AS INTEGER) AS kind, CAST(trial_system_attributes.key AS TEXT) AS key, CAST(NULL AS INTEGER) AS integer, CAST(NULL AS FLOAT(53)) AS real, CAST(trial_system_attributes.value_json AS TEXT) AS text, NULL AS anon_9, NULL AS anon__1
  FROM trial_system_attributes
  JOIN "some" ON "some".trial_id = trial_system_attributes.trial_id
  WHERE "some".state IN (…)
  UNION ALL
  SELECT studies.study_id AS study_id, CAST(:param_8 AS INTEGER) AS anon_10, CAST(studies.study_name AS TEXT) AS study_name, CAST(NULL AS INTEGER) AS anon_9, CAST(NULL AS FLOAT(53)) AS anon__2, study_user_attributes.value_json AS value_json, (
    SELECT trials.datetime_start
    FROM trials
    WHERE trials.trial_id = :known_latest
    AND trials.study_id = :of_study) AS anon_11, NULL AS anon__3
  FROM studies
  LEFT OUTER JOIN study_user_attributes ON study_user_attributes.study_id = studies.study_id
  AND study_user_attributes.key = :key_2
  WHERE studies.study_id = :of_study) AS read ON true;

-- renew the lease

UPDATE hpo_cell
SET lease_until=(extract(epoch from clock_timestamp())::float8 + :length), lease_seconds=:length
WHERE hpo_cell.id = :held_cell
AND hpo_cell.token = :held_token
AND hpo_cell.state = :state_1
RETURNING hpo_cell.id;

-- release, with a checkpoint

WITH held AS (
  UPDATE hpo_cell
  SET state=:param_1, token=:param_2, lease_until=:param_3, attempts=CASE WHEN (hpo_cell.attempts > :attempts_1) THEN hpo_cell.attempts - :attempts_2 ELSE :param_4 END, reason=coalesce(:in_a_line, hpo_cell.reason)
  WHERE hpo_cell.id = :held_cell
  AND hpo_cell.token = :held_token
  AND hpo_cell.state = :state_1
  RETURNING hpo_cell.id), write_0 AS (
  INSERT INTO hpo_checkpoint (cell_id, content, saved) SELECT CAST(:w0_0_cell_id AS INTEGER) AS anon_1, CAST(:w0_0_content AS BYTEA) AS anon_2, extract(epoch from clock_timestamp())::float8 AS anon_3
  FROM held
  WHERE true
  ON CONFLICT (cell_id) DO UPDATE
  SET content = excluded.content, saved = excluded.saved)
SELECT held.id
FROM held;

-- read the checkpoint

SELECT hpo_checkpoint.content
FROM hpo_checkpoint
WHERE hpo_checkpoint.cell_id = :cell_id_1;

-- finish

WITH held AS (
  UPDATE hpo_cell
  SET state=CASE WHEN (hpo_cell.state = :state_1) THEN :param_1 ELSE :param_2 END, lease_until=:param_3, failed_by=:param_4, epochs=CASE WHEN (hpo_cell.state = :state_2) THEN CASE WHEN (:epoch > hpo_cell.epochs) THEN :epoch ELSE hpo_cell.epochs END ELSE hpo_cell.epochs END, seconds=CASE WHEN (hpo_cell.state = :state_2) THEN (SELECT coalesce(sum(hpo_curve.seconds), :coalesce_2) AS coalesce_1
    FROM hpo_curve
    WHERE hpo_curve.cell_id = hpo_cell.id
    AND hpo_curve.at > coalesce(hpo_cell.leader_epochs, :coalesce_3)
    AND (hpo_curve.at < :first_epoch
      OR hpo_curve.at > :epoch)) + :spent ELSE hpo_cell.seconds END, ended=:how, score=:final, metrics=:measured, error=:param_5, reason=:in_a_line, finished=extract(epoch from clock_timestamp())::float8
  WHERE hpo_cell.id = :held_cell
  AND hpo_cell.token = :held_token
  RETURNING EXISTS (
    SELECT *
    FROM trial_user_attributes
    WHERE hpo_cell.trial_id = trial_user_attributes.trial_id
    AND trial_user_attributes.key = :key_1
    AND trial_user_attributes.value_json = CAST(hpo_cell.id AS TEXT)) AS has_trial), write_0 AS (
  INSERT INTO hpo_curve (cell_id, at, seconds, metrics) SELECT CAST(:w0_0_cell_id AS INTEGER) AS anon_1, CAST(:w0_0_at AS INTEGER) AS anon_2, CAST(:w0_0_seconds AS FLOAT) AS anon_3, CAST(:w0_0_metrics AS TEXT) AS anon_4
  FROM held
  WHERE true
  ON CONFLICT (cell_id, at) DO UPDATE
  SET seconds = excluded.seconds, metrics = excluded.metrics), write_1 AS (
  DELETE FROM hpo_checkpoint
  WHERE hpo_checkpoint.cell_id = :forgotten_cell
  AND (EXISTS (
      SELECT held.has_trial
      FROM held))), write_2 AS (
  DELETE FROM hpo_part
  WHERE hpo_part.cell_id = :forgotten_cell
  AND (hpo_part.name LIKE :name_1 || '%%')
  AND (EXISTS (
      SELECT held.has_trial
      FROM held))), write_3 AS (
  INSERT INTO trial_values (trial_id, objective, value, value_type) SELECT CAST(:w3_0_trial_id AS INTEGER) AS anon_5, CAST(:w3_0_objective AS INTEGER) AS anon_6, CAST(:w3_0_value AS FLOAT(53)) AS anon_7, CAST(:w3_0_value_type AS trialvaluetype) AS anon_8
  FROM held
  WHERE (EXISTS (
      SELECT trials.trial_id
      FROM trials
      WHERE trials.trial_id = :open_trial
      AND trials.state IN (…)))
  AND (EXISTS (
      SELECT trial_user_attributes.trial_id
      FROM trial_user_attributes
      WHERE trial_user_attributes.trial_id = :open_trial
      AND trial_user_attributes.key = :key_2
      AND trial_user_attributes.value_json = :of_cell))
  ON CONFLICT (trial_id, objective) DO UPDATE
  SET value = excluded.value, value_type = excluded.value_type), write_4 AS (
  UPDATE trials
  SET state=:end_state, datetime_complete=:end_time
  WHERE trials.trial_id = :open_trial
  AND trials.state IN (…)
  AND (EXISTS (
      SELECT trial_user_attributes.trial_id
      FROM trial_user_attributes
      WHERE trial_user_attributes.trial_id = :open_trial
      AND trial_user_attributes.key = :key_2
      AND trial_user_attributes.value_json = :of_cell))
  AND (EXISTS (
      SELECT held.has_trial
      FROM held)))
SELECT held.has_trial
FROM held;

-- try again later

UPDATE hpo_cell
SET state=:state, token=:token, lease_until=:lease_until, failed_by=coalesce(hpo_cell.failed_by, hpo_cell.worker), error=:why, reason=:in_a_line
WHERE hpo_cell.id = :held_cell
AND hpo_cell.token = :held_token
AND hpo_cell.state = :state_1
RETURNING hpo_cell.id;

-- fail for good

WITH held AS (
  UPDATE hpo_cell
  SET state=:param_1, token=:param_2, lease_until=:param_3, error=:why, reason=:in_a_line, finished=extract(epoch from clock_timestamp())::float8
  WHERE hpo_cell.id = :held_cell
  AND hpo_cell.token = :held_token
  AND hpo_cell.state = :state_1
  RETURNING hpo_cell.id), write_0 AS (
  DELETE FROM hpo_checkpoint
  WHERE hpo_checkpoint.cell_id = :forgotten_cell
  AND (EXISTS (
      SELECT held.id
      FROM held))), write_1 AS (
  DELETE FROM hpo_part
  WHERE hpo_part.cell_id = :forgotten_cell
  AND (hpo_part.name LIKE :name_1 || '%%')
  AND (EXISTS (
      SELECT held.id
      FROM held))), write_2 AS (
  UPDATE trials
  SET state=:param_4, datetime_complete=:end_time
  WHERE trials.trial_id = (
    SELECT hpo_cell.trial_id
    FROM hpo_cell
    WHERE hpo_cell.id = :its_cell)
  AND (trials.state = :state_2
    OR trials.state = :state_3)
  AND (EXISTS (
      SELECT trial_user_attributes.trial_id
      FROM trial_user_attributes
      WHERE trial_user_attributes.trial_id = trials.trial_id
      AND trial_user_attributes.key = :key_1
      AND trial_user_attributes.value_json = :of_cell))
  AND (EXISTS (
      SELECT held.id
      FROM held)))
SELECT held.id
FROM held;
