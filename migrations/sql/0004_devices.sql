-- Devices with logins of their own. Their roles are named __PREFIX___device_NAME_RANDOM, in the whole cluster; a session
-- of such a role that has no row here belongs to another database and may do nothing in this one.
create table nasd_core.login (
    id bigint generated always as identity,
    name text not null,
    device_kind text not null,
    role text not null,
    is_revoked boolean default false not null,
    is_draining boolean default false not null,
    expires_at timestamptz not null,
    redis_password text,
    artifacts_digest text,
    created_at timestamptz default clock_timestamp() not null,
    joined_at timestamptz,
    revoked_at timestamptz,
    primary key (id),
    constraint login_role_is_unique unique (role),
    constraint login_is_revoked_at_a_time check (is_revoked = (revoked_at is not null)),
    constraint login_forgets_when_revoked check (not is_revoked or (redis_password is null and artifacts_digest is null)),
    constraint login_digest_is_a_hash check (artifacts_digest ~ '^[0-9a-f]{64}$')
);
create unique index login_in_use on nasd_core.login (name) where not is_revoked;

-- Refuses a session of a device that may not act here, or not as this kind. Costs other sessions one comparison.
create function nasd_core.check_login(p_kind text) returns void
language plpgsql stable as $$
declare
    l record;
begin
    if not starts_with(session_user, '__PREFIX___device_') then
        return;
    end if;
    select name, device_kind, is_revoked, joined_at into l from nasd_core.login where role = session_user;
    if not found or l.is_revoked then
        raise exception 'the device of login % was revoked', session_user using errcode = 'NA001',
            hint = 'Let it be added again: nasd device add NAME --kind KIND';
    end if;
    if l.joined_at is null then
        raise exception 'device % has not joined', l.name using errcode = 'NA001', hint = 'nasd worker join TOKEN';
    end if;
    if l.device_kind <> p_kind then
        raise exception 'device % was added as a %, not as a %', l.name, l.device_kind, p_kind using errcode = 'NA007';
    end if;
end $$;

create function nasd_core.is_draining(p_login text) returns boolean
language plpgsql stable as $$
begin
    return starts_with(p_login, '__PREFIX___device_')
        and exists (select from nasd_core.login where role = p_login and is_draining);
end $$;

-- What libpq makes of a password: the server never sees one, and no log can show one.
create function nasd_core.require_verifier(p_verifier text) returns void
language plpgsql immutable as $$
begin
    if p_verifier !~ '^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$' then
        raise exception 'a password comes as its SCRAM-SHA-256 verifier' using errcode = 'NA005';
    end if;
end $$;

-- Gives a device a role of its own, whose first password is the secret of a token that ends with it. The same name again
-- makes the last token void, unless it was used. The role, and when its token ends.
create function nasd_core.add_login(p_name text, p_kind text, p_verifier text, p_redis_password text, p_valid_s double precision)
returns table (login_role text, ends_at timestamptz)
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
declare
    l record;
    was_known boolean;
begin
    ends_at := clock_timestamp() + make_interval(secs => p_valid_s);
    perform nasd_core.require_verifier(p_verifier);
    if p_name !~ '^[a-z][a-z0-9-]{0,23}$' or p_kind !~ '^[a-z][a-z0-9-]{0,30}$' or p_kind = 'any' then
        raise exception 'device % of kind %: no such name or kind', p_name, p_kind using errcode = 'NA005';
    end if;
    select id, role, joined_at into l from login where name = p_name and not is_revoked for update;
    was_known := found;
    if was_known and l.joined_at is not null then
        raise exception 'device % has joined already', p_name using errcode = 'NA008';
    end if;
    login_role := coalesce(l.role, '__PREFIX___device_' || p_name || '_' || left(md5(gen_random_uuid()::text), 6));
    if was_known then
        update login set device_kind = p_kind, expires_at = ends_at, redis_password = p_redis_password where id = l.id;
    else
        execute format('create role %I nologin in role __PREFIX___worker', login_role);
        if not (select rolsuper from pg_roles where rolname = current_user) then
            execute format('grant %I to %I', login_role, current_user);  -- to end its sessions
        end if;
        insert into login (name, device_kind, role, expires_at, redis_password)
        values (p_name, p_kind, login_role, ends_at, p_redis_password);
    end if;
    execute format('alter role %I login password %L valid until %L', login_role, p_verifier, ends_at);
    insert into event (kind, data) values ('device_added', jsonb_build_object('device', p_name, 'kind', p_kind, 'role', login_role));
    return next;
end $$;

-- The device's side, with the token's secret as its password: sets a lasting one and hands over what it needs. Until the
-- device has said `joined_v1` it may ask again, with the lasting password: its power may have gone in between.
create function nasd_api.join_v1(p_verifier text, p_artifacts_digest text) returns jsonb
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
declare
    l nasd_core.login;
begin
    perform nasd_core.require_verifier(p_verifier);
    select * into l from login where role = session_user for update;
    if not found or l.is_revoked then
        raise exception 'the device of login % was revoked', session_user using errcode = 'NA001';
    end if;
    if l.redis_password is null then
        raise exception 'device % has joined already', l.name using errcode = 'NA008';
    end if;
    if l.joined_at is null then
        if l.expires_at <= clock_timestamp() then
            raise exception 'the token of device % expired at %', l.name, l.expires_at using errcode = 'NA008';
        end if;
        execute format('alter role %I password %L valid until ''infinity''', l.role, p_verifier);
        update login set joined_at = clock_timestamp() where id = l.id;
        insert into event (kind, data) values ('device_joined', jsonb_build_object('device', l.name, 'kind', l.device_kind));
        -- whoever else got in with the token
        perform pg_terminate_backend(pid) from pg_stat_activity where usename = l.role and pid <> pg_backend_pid();
    end if;
    update login set artifacts_digest = p_artifacts_digest where id = l.id;
    return jsonb_build_object('name', l.name, 'device_kind', l.device_kind, 'redis_password', l.redis_password);
end $$;

create function nasd_api.joined_v1() returns void
language sql security definer set search_path = nasd_core, pg_temp as $$
    update login set redis_password = null where role = session_user and joined_at is not null
$$;

-- From the moment this is committed nothing of the device gets through; what it holds and its sessions are ended after
-- that, so that it can't come back in between. Its role; null where no such device is in use.
create function nasd_core.revoke_login(p_name text) returns text
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
declare
    gone text;
begin
    update login set is_revoked = true, revoked_at = clock_timestamp(), is_draining = false, redis_password = null, artifacts_digest = null
    where name = p_name and not is_revoked returning role into gone;
    if not found then
        return null;
    end if;
    update worker set is_revoked = true, state = 'left' where login = gone;
    execute format('revoke __PREFIX___worker from %I', gone);
    execute format('alter role %I nologin', gone);  -- its password stays, so that its workers are told why
    insert into event (kind, data) values ('device_revoked', jsonb_build_object('device', p_name, 'role', gone));
    return gone;
end $$;

-- Ends the sessions of a revoked device, in all databases; how many there were.
create function nasd_core.end_sessions(p_role text) returns integer
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
declare
    n_ended integer;
begin
    select count(pg_terminate_backend(a.pid)) into n_ended
    from pg_stat_activity as a join login as l on l.role = a.usename
    where l.role = p_role and l.is_revoked;
    return n_ended;
end $$;

-- False where no such device is in use.
create function nasd_core.drain_login(p_name text, p_is_draining boolean) returns boolean
language plpgsql security definer set search_path = nasd_core, pg_temp as $$
begin
    update login set is_draining = p_is_draining where name = p_name and not is_revoked;
    if not found then
        return false;
    end if;
    insert into event (kind, data)
    values (case when p_is_draining then 'device_draining' else 'device_serving' end, jsonb_build_object('device', p_name));
    return true;
end $$;

grant select on nasd_core.login to __PREFIX___controller;
revoke all on function nasd_core.add_login, nasd_core.revoke_login, nasd_core.end_sessions, nasd_core.drain_login from public;
revoke all on function nasd_api.join_v1, nasd_api.joined_v1 from public;
grant execute on function nasd_api.join_v1, nasd_api.joined_v1 to __PREFIX___worker;
