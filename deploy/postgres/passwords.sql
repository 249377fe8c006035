-- The passwords of roles.sql's roles from the environment, for compose; psql 14 or newer. What a server logs of a
-- statement that fails, or of all if it is told to, must not hold them.
\getenv worker_password WORKER_PASSWORD
\getenv editor_password EDITOR_PASSWORD
set log_statement = 'none';
set log_min_error_statement = 'panic';
alter role hpo_worker password :'worker_password';
alter role hpo_editor password :'editor_password';
