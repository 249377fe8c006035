-- Three roles beside the owner of the tables, each with what its work needs and no more:
--   hpo_worker     trains: claims cells, writes results; can't launch or delete a study, change its file, or make tables
--   hpo_dashboard  reads: hpo status, hpo report, hpo dashboard --read-only
--   hpo_editor     reads, and writes what a dashboard writes: hpo dashboard, hpo report -o; can't touch a cell
--
-- Run it as the owner, in the database, when `hpo launch-study … --workers 0` or `hpo migrate` has made the tables:
--
--   psql -d DATABASE -v ON_ERROR_STOP=1 -f roles.sql
--   psql -d DATABASE -c "\password hpo_worker" -c "\password hpo_dashboard" -c "\password hpo_editor"
--
-- Running it again is safe. Do so after each `hpo migrate`: a new table may be read at once, and written only then.
-- Until a password is set, none of the roles can log in over the network.

begin;

do $$
declare
    name text;
begin
    foreach name in array array['hpo_worker', 'hpo_dashboard', 'hpo_editor'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I login', name);
        end if;
    end loop;
end
$$;

-- What an older version of this file has granted, and this one does not.
revoke all on all tables in schema public from hpo_worker, hpo_dashboard, hpo_editor;

revoke create on schema public from public;
grant usage on schema public to hpo_worker, hpo_dashboard, hpo_editor;

-- Everything may be read by all: samplers and pruners look at other trials. So may tables that are made later.
grant select on all tables in schema public to hpo_worker, hpo_dashboard, hpo_editor;
grant usage on all sequences in schema public to hpo_worker, hpo_editor;
alter default privileges in schema public grant select on tables to hpo_worker, hpo_dashboard, hpo_editor;
alter default privileges in schema public grant usage on sequences to hpo_worker, hpo_editor;

-- Workers: our tables.
-- Of a study the fingerprint of its images, and that it has failed; which also allows the lock that planning takes.
grant update (data, state, reason) on hpo_study to hpo_worker;
-- Cells are planned when an arm's search is done, and change hands; they are never deleted by a worker.
grant insert, update on hpo_cell, hpo_worker to hpo_worker;
-- That one of many idle workers has looked what follows in a plan; forgotten when more may follow.
grant insert, update, delete on hpo_planning to hpo_worker;
-- What belongs to a trial goes when it is done, or when the trial goes on from another one's.
grant insert, update, delete on hpo_curve, hpo_checkpoint, hpo_fork, hpo_part to hpo_worker;

-- Workers: Optuna's tables. Trials and what belongs to them; studies are made by whoever launches them.
grant update (study_name) on studies to hpo_worker; -- for the lock under which Optuna numbers trials
grant insert, update on
    trials,
    trial_params,
    trial_values,
    trial_intermediate_values,
    trial_user_attributes,
    trial_system_attributes
to hpo_worker;

-- Who edits in the dashboard: all of Optuna's tables, and none of ours.
grant insert, update, delete on
    studies,
    study_directions,
    study_user_attributes,
    study_system_attributes,
    trials,
    trial_params,
    trial_values,
    trial_intermediate_values,
    trial_user_attributes,
    trial_system_attributes,
    trial_heartbeats
to hpo_editor;

commit;
