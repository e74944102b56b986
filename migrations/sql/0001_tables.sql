-- The private tables. The same as the classes in nasd/store/tables*.py, which a test compares with what this makes.
create schema if not exists nasd_core;
create schema nasd_api;
create schema nasd;

create table nasd_core.device (
    id bigint generated always as identity,
    host text not null,
    device_kind text not null,
    facts jsonb default '{}' not null,
    last_seen_at timestamptz default clock_timestamp() not null,
    primary key (id),
    constraint device_is_unique unique (host, device_kind)
);

create table nasd_core.event (
    id bigint generated always as identity,
    at timestamptz default clock_timestamp() not null,
    study_id bigint,
    trial_id bigint,
    evaluation_id bigint,
    attempt integer,
    kind text not null,
    data jsonb,
    primary key (id)
);
create index event_of_trial on nasd_core.event (trial_id);

create table nasd_core.leader (
    singleton integer default 1 not null,
    epoch bigint default 0 not null,
    holder text,
    primary key (singleton),
    constraint leader_is_one_row check (singleton = 1)
);

create table nasd_core.leader_beat (
    epoch bigint not null,
    beats bigint default 0 not null,
    primary key (epoch)
);

create table nasd_core.study (
    id bigint generated always as identity,
    name text not null,
    state text default 'running' not null,
    state_reason text,
    seed bigint not null,
    spec jsonb not null,
    data jsonb,
    recipe text not null,
    strategy text not null,
    strategy_version text,
    reference jsonb default '{}' not null,
    trials_budget integer,
    time_budget_s double precision,
    used_s double precision default 0 not null,
    n_trials integer default 0 not null,
    learned_seq bigint default 0 not null,
    created_at timestamptz default clock_timestamp() not null,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (id),
    constraint study_name_is_unique unique (name),
    constraint study_state_is_known check (state in ('running', 'paused', 'completed', 'stopped')),
    constraint study_final_iff_finished check ((state in ('completed', 'stopped')) = (finished_at is not null)),
    constraint study_budget_is_positive check (trials_budget > 0 and time_budget_s > 0),
    constraint study_counts_are_not_negative check (n_trials >= 0 and learned_seq >= 0 and used_s >= 0)
);

create table nasd_core.worker (
    id bigint generated always as identity,
    name text not null,
    host text not null,
    login text default session_user not null,
    is_revoked boolean default false not null,
    device_kind text not null,
    stages text[] not null,
    studies text[] default '{}' not null,
    facts jsonb default '{}' not null,
    state text default 'live' not null,
    beats bigint default 0 not null,
    activity jsonb default '{}' not null,
    registered_at timestamptz default clock_timestamp() not null,
    last_seen_at timestamptz default clock_timestamp() not null,
    primary key (id),
    constraint worker_state_is_known check (state in ('live', 'left'))
);
create index worker_live on nasd_core.worker (device_kind) where state = 'live';

create table nasd_core.fact (
    study_id bigint not null,
    seq bigint not null,
    kind text not null,
    trial_id bigint not null,
    number integer not null,
    state text not null,
    values jsonb not null,
    violation double precision default 0 not null,
    at timestamptz default clock_timestamp() not null,
    primary key (study_id, seq),
    foreign key(study_id) references nasd_core.study (id) on delete cascade,
    constraint fact_kind_is_known check (kind in ('result', 'revision'))
);

create table nasd_core.hypervolume (
    study_id bigint not null,
    device_kind text not null,
    seq bigint not null,
    value double precision,
    size integer not null,
    at timestamptz default clock_timestamp() not null,
    primary key (study_id, device_kind, seq),
    foreign key(study_id) references nasd_core.study (id) on delete cascade
);

create table nasd_core.strategy_cache (
    study_id bigint not null,
    strategy_version text not null,
    settings_hash text not null,
    learned_seq bigint not null,
    state jsonb not null,
    at timestamptz default clock_timestamp() not null,
    primary key (study_id),
    foreign key(study_id) references nasd_core.study (id) on delete cascade
);

create table nasd_core.trial (
    id bigint generated always as identity,
    study_id bigint not null,
    number integer not null,
    state text default 'queued' not null,
    architecture jsonb not null,
    architecture_key text not null,
    fidelity integer not null,
    seed bigint not null,
    operator text not null,
    parents integer[] default '{}' not null,
    notes jsonb default '{}' not null,
    proposed_from bigint not null,
    strategy text not null,
    strategy_version text not null,
    values jsonb default '{}' not null,
    violation double precision default 0 not null,
    reason text,
    message text,
    pending text,
    learned_seq bigint,
    created_at timestamptz default clock_timestamp() not null,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (id),
    foreign key(study_id) references nasd_core.study (id) on delete cascade,
    constraint trial_number_is_unique unique (study_id, number),
    constraint trial_is_unique_in_its_study unique (study_id, architecture_key, fidelity),
    constraint trial_state_is_known check (state in ('queued', 'running', 'completed', 'pruned', 'infeasible', 'failed', 'cancelled')),
    constraint trial_final_iff_finished check ((state in ('cancelled', 'completed', 'failed', 'infeasible', 'pruned')) = (finished_at is not null)),
    constraint trial_is_learned_only_when_final check (pending is null or finished_at is not null),
    constraint trial_pending_is_known check (pending in ('result', 'revision')),
    constraint trial_result_is_learned_once check (pending <> 'result' or learned_seq is null),
    constraint trial_violation_is_not_negative check (violation >= 0),
    constraint trial_completed_is_feasible check (state <> 'completed' or violation = 0)
);
create index trial_to_learn on nasd_core.trial (study_id, finished_at, id) where pending is not null;

create table nasd_core.evaluation (
    id bigint generated always as identity,
    study_id bigint not null,
    trial_id bigint not null,
    stage text not null,
    device_kind text not null,
    replicate integer default 0 not null,
    round integer default 1 not null,
    state text default 'queued' not null,
    priority integer default 0 not null,
    attempt integer default 0 not null,
    spent integer default 0 not null,
    max_attempts integer default 3 not null,
    not_before timestamptz default '-infinity' not null,
    worker_id bigint,
    reason text,
    message text,
    queued_at timestamptz default clock_timestamp() not null,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (id),
    foreign key(trial_id) references nasd_core.trial (id) on delete cascade,
    constraint evaluation_is_unique unique (trial_id, stage, device_kind, replicate, round),
    constraint evaluation_state_is_known check (state in ('queued', 'running', 'completed', 'pruned', 'infeasible', 'failed', 'cancelled')),
    constraint evaluation_final_iff_finished check ((state in ('cancelled', 'completed', 'failed', 'infeasible', 'pruned')) = (finished_at is not null)),
    constraint evaluation_ran_only_when_leased check (state in ('queued', 'cancelled') or attempt > 0),
    constraint evaluation_spends_at_most_its_attempts check (spent <= attempt and spent <= max_attempts),
    constraint evaluation_failed_has_a_reason check (state <> 'failed' or reason is not null),
    constraint evaluation_infeasible_has_a_reason check (state <> 'infeasible' or reason is not null)
);
create index evaluation_open_by_study on nasd_core.evaluation (study_id) where state in ('queued', 'running');
create index evaluation_to_lease on nasd_core.evaluation (device_kind, priority desc, id) where state = 'queued';

create table nasd_core.front_member (
    id bigint generated always as identity,
    study_id bigint not null,
    device_kind text not null,
    trial_id bigint not null,
    entered_seq bigint not null,
    entered_at timestamptz default clock_timestamp() not null,
    left_seq bigint,
    left_at timestamptz,
    left_because text,
    primary key (id),
    foreign key(trial_id) references nasd_core.trial (id) on delete cascade,
    constraint front_member_left_for_a_reason check ((left_seq is null) = (left_because is null)),
    constraint front_member_left_after_it_entered check (left_seq is null or left_seq >= entered_seq),
    constraint front_member_enters_once_a_fact unique (study_id, device_kind, trial_id, entered_seq)
);
create unique index front_now on nasd_core.front_member (study_id, device_kind, trial_id) where left_seq is null;

create table nasd_core.measurement (
    id bigint generated always as identity,
    study_id bigint not null,
    trial_id bigint not null,
    evaluation_id bigint not null,
    attempt integer not null,
    worker_id bigint not null,
    device_kind text not null,
    name text not null,
    value double precision not null,
    unit text not null,
    spread double precision,
    n integer default 1 not null,
    conditions jsonb default '{}' not null,
    status text default 'current' not null,
    measured_at timestamptz default clock_timestamp() not null,
    primary key (id),
    foreign key(trial_id) references nasd_core.trial (id) on delete cascade,
    constraint measurement_status_is_known check (status in ('current', 'superseded', 'quarantined')),
    constraint measurement_is_finite check (value > '-Infinity' and value < 'Infinity'),
    constraint measurement_has_observations check (n >= 1)
);
create index measurement_of_trial on nasd_core.measurement (trial_id);

create table nasd_core.retrained (
    id bigint generated always as identity,
    study_id bigint not null,
    trial_id bigint not null,
    replicate integer not null,
    seed bigint not null,
    val_error double precision not null,
    test_error double precision not null,
    test_loss double precision,
    at timestamptz default clock_timestamp() not null,
    primary key (id),
    foreign key(study_id) references nasd_core.study (id) on delete cascade,
    foreign key(trial_id) references nasd_core.trial (id) on delete cascade,
    constraint retrained_once_a_replicate unique (trial_id, replicate)
);

create table nasd_core.attempt (
    evaluation_id bigint not null,
    attempt integer not null,
    token uuid not null,
    worker_id bigint not null,
    leased_at timestamptz default clock_timestamp() not null,
    ended_at timestamptz,
    ended_how text,
    reason text,
    message text,
    log text,
    seconds jsonb,
    primary key (evaluation_id, attempt),
    foreign key(evaluation_id) references nasd_core.evaluation (id) on delete cascade,
    constraint attempt_end_has_a_time check ((ended_at is null) = (ended_how is null))
);

create table nasd_core.lease (
    evaluation_id bigint not null,
    token uuid not null,
    attempt integer not null,
    worker_id bigint not null,
    renewals bigint default 0 not null,
    duration_s double precision not null,
    directive text default 'carry_on' not null,
    progress jsonb,
    leased_at timestamptz default clock_timestamp() not null,
    primary key (evaluation_id),
    foreign key(evaluation_id) references nasd_core.evaluation (id) on delete cascade,
    constraint lease_lasts check (duration_s > 0),
    constraint lease_directive_is_known check (directive in ('carry_on', 'stop_early', 'abandon'))
);
