-- Ends the sessions that hold the leader's row for a step: of a leader that is being deposed. Empty: none did.
select pg_terminate_backend(pid, %s)
from (
    select distinct pid from pg_locks
    where relation = 'nasd_core.leader'::regclass and mode = 'RowShareLock' and granted
      and database = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid()
) as holding
