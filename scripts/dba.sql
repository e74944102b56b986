-- For a cluster where nasd's own login may not create roles. A DBA runs it once, with passwords of their own:
--
--   psql -v prefix=nasd -v controller_password=… -v worker_password=… -v reader_password=… -v owner=OWNER -f scripts/dba.sql
--
-- OWNER is the login that owns the database and runs `nasd db upgrade`.
select format('create role %I login password %L', :'prefix' || '_controller', :'controller_password') \gexec
select format('create role %I login password %L', :'prefix' || '_worker', :'worker_password') \gexec
select format('create role %I login password %L', :'prefix' || '_reader', :'reader_password') \gexec
select format('grant %I, %I, %I to %I with admin option', :'prefix' || '_controller', :'prefix' || '_worker',
              :'prefix' || '_reader', :'owner') \gexec
