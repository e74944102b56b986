-- The three roles (cluster-wide, so their names carry a prefix). They can log in only after a password was given to them
-- (`alter role ... login password ...`: the embedded pair does it itself, a DBA elsewhere: scripts/dba.sql).
do $$
declare
    role text;
begin
    foreach role in array array['__PREFIX___controller', '__PREFIX___worker', '__PREFIX___reader'] loop
        begin
            if not exists (select from pg_roles where rolname = role) then
                execute format('create role %I nologin', role);
            end if;
        exception
            when duplicate_object or unique_violation then null;  -- another database of this cluster was quicker
            when insufficient_privilege then
                raise exception 'role % does not exist and % may not create roles', role, current_user
                    using hint = 'Let a DBA run scripts/dba.sql once, then try again.', errcode = '42501';
        end;
    end loop;
end $$;

-- `select * from pareto_front` works for everyone, whatever their own search_path.
do $$
begin
    execute format('alter database %I set search_path = nasd, public', current_database());
exception
    when insufficient_privilege then
        raise notice 'not the owner of this database: write nasd.pareto_front, or set search_path yourself';
end $$;
