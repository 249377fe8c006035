-- Two roles beside the owner of the database, each with what its work needs and no more:
--   hpo_worker     trains: claims cells, writes results; can't plan, delete or change a study's file, or make tables
--   hpo_dashboard  reads: hpo status, hpo report, hpo dashboard --read-only
--
-- Run once as the owner, in the database, after the first `hpo launch-study … --workers 0` has made the tables:
--
--   psql -d DATABASE -f roles.sql
--   psql -d DATABASE -c "\password hpo_worker" -c "\password hpo_dashboard"
--
-- Running it again is safe. Until a password is set, neither role can log in over the network.

do $$
begin
    if not exists (select from pg_roles where rolname = 'hpo_worker') then
        create role hpo_worker login;
    end if;
    if not exists (select from pg_roles where rolname = 'hpo_dashboard') then
        create role hpo_dashboard login;
    end if;
end
$$;

revoke create on schema public from public;
grant usage on schema public to hpo_worker, hpo_dashboard;

-- The dashboard, and whoever writes reports.
grant select on all tables in schema public to hpo_dashboard;

-- Workers. Everything may be read: samplers and pruners look at other trials.
grant select on all tables in schema public to hpo_worker;
grant usage on all sequences in schema public to hpo_worker;

-- Of a study only the fingerprint of its images (which also allows the lock that planning takes).
grant update (data) on hpo_study to hpo_worker;
-- Cells are planned when an arm's search is done, and change hands; they are never deleted by a worker.
grant insert, update on hpo_cell, hpo_curve, hpo_worker to hpo_worker;
grant insert, update, delete on hpo_checkpoint to hpo_worker;

-- Optuna's tables: trials and what belongs to them. Studies are made by whoever launches them.
grant update (study_name) on studies to hpo_worker; -- for the lock under which Optuna numbers trials
grant insert, update on
    trials,
    trial_params,
    trial_values,
    trial_intermediate_values,
    trial_user_attributes,
    trial_system_attributes,
    trial_heartbeats
to hpo_worker;
grant insert, update on study_system_attributes to hpo_worker; -- some samplers keep notes there
