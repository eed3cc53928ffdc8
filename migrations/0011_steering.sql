-- What the people who run a drop do with it: drafts, pauses, archives, descriptions, cancelled purchases, and the log of it all.

alter table drops
    -- A draft is shown to nobody yet, and what is archived to nobody any more.
    add column status text not null default 'published',
    -- Nobody can reserve; holders can still buy.
    add column is_paused boolean not null default false,
    -- Rises with edits and not with sales, so that of two people who edit a drop the second one notices.
    add column edit_version bigint not null default 1;

-- Beside the drop: each batch writes its drop's row anew, and would copy a long text each time.
create table drop_descriptions (
    drop_id bigint primary key references drops (id) on delete cascade,
    description text not null constraint drop_descriptions_length check (char_length(description) between 1 and 2000)
);

-- All stock that was not sold may be taken back.
alter table drop_sizes
    drop constraint drop_sizes_total_range,
    add constraint drop_sizes_total_range check (total_stock between 0 and 1000000);

-- A cancelled purchase is not sold: its pair went back to stock. Its reservation stays completed.
alter table purchases
    add column status text not null default 'completed',
    add column cancelled_at timestamptz,
    add column cancel_reason text;
alter table purchases add constraint purchases_cancelled_with_reason check (
    case status
        when 'completed' then cancelled_at is null and cancel_reason is null
        when 'cancelled' then cancelled_at is not null and char_length(cancel_reason) between 1 and 200
        else false
    end
) not valid;

-- The audit log: what changed of a drop besides its sales. A row is written in the transaction of its change, under the drop's
-- lock, so the ids of one drop's rows are in the order of their commits. No foreign key: the log outlives what it tells of.
create table drop_changes (
    id bigint generated always as identity primary key,
    drop_id bigint not null,
    -- The drop's after the change.
    edit_version bigint not null,
    -- `session <number>`, `token`, `seed`, `migration` or `sql <role>`.
    actor text not null,
    action text not null,
    -- The fields that changed, each with its value. `sizes` has the total stock of each size that changed, by its label.
    before jsonb not null default '{}',
    after jsonb not null default '{}',
    reason text,
    -- The purchase that was cancelled, and its buyer.
    purchase_id bigint,
    user_id bigint,
    created_at timestamptz not null default clock_timestamp()
);

create index drop_changes_of_drop on drop_changes (drop_id, id desc);

create function refuse_to_change_the_log() returns trigger language plpgsql as $$
begin
    raise integrity_constraint_violation using
        message = 'the audit log is append-only', constraint = 'drop_changes_append_only',
        table = tg_table_name, schema = tg_table_schema;
end $$;

create trigger drop_changes_append_only before update or delete on drop_changes for each row
execute function refuse_to_change_the_log();
create trigger drop_changes_not_emptied before truncate on drop_changes for each statement
execute function refuse_to_change_the_log();

insert into drop_changes (drop_id, edit_version, actor, action, after)
select drop_id, 1, 'migration', 'recorded', jsonb_build_object('sizes', jsonb_object_agg(label, total_stock))
from drop_sizes group by drop_id order by drop_id;

-- As before, a trigger and not a constraint guards columns that batches do not write.
create function refuse_unknown_status() returns trigger language plpgsql as $$
begin
    if new.status not in ('draft', 'published', 'archived') then
        raise check_violation using
            message = 'a drop is a draft, published or archived',
            constraint = 'drops_status_known', table = tg_table_name, schema = tg_table_schema;
    end if;
    return null;
end $$;

create trigger drops_status_known after insert or update of status on drops for each row
execute function refuse_unknown_status();

-- Edits by SQL raise both versions and are logged. The server's sessions do both themselves.

create or replace function raise_version_of_drop() returns trigger language plpgsql as $$
declare
    edited record;
begin
    select coalesce(jsonb_object_agg(key, o.value), '{}') as before, coalesce(jsonb_object_agg(key, n.value), '{}') as after
    into edited
    from jsonb_each(to_jsonb(old)) o join jsonb_each(to_jsonb(new)) n using (key)
    where o.value <> n.value and key in
        ('name', 'price_cents', 'image_url', 'limit_per_user', 'starts_at', 'ends_at', 'status', 'is_paused');
    if edited.after <> '{}' then
        -- The version unless the writer raised it.
        update drops
        set version = version + case when version = old.version then 1 else 0 end, edit_version = edit_version + 1
        where id = new.id;
        insert into drop_changes (drop_id, edit_version, actor, action, before, after)
        select id, edit_version, 'sql ' || session_user, 'edited', edited.before, edited.after from drops where id = new.id;
    end if;
    return null;
end $$;

drop trigger drops_raise_version on drops;
create trigger drops_raise_version
after update of name, price_cents, image_url, limit_per_user, starts_at, ends_at, status, is_paused on drops for each row
when (current_setting('sneakdrop.writes_versions', true) is distinct from 'on')
execute function raise_version_of_drop();

create or replace function raise_version_for_sizes() returns trigger language plpgsql as $$
declare
    drop_of_size constant bigint := coalesce(new.drop_id, old.drop_id);
    is_sold_out constant boolean := not exists (
        select from drop_sizes where drop_id = drop_of_size and available_stock + held_stock > 0
    );
    is_edited constant boolean := (old.label, old.total_stock) is distinct from (new.label, new.total_stock);
    size_before constant jsonb :=
        case when old is null then '{}' else jsonb_build_object('sizes', jsonb_build_object(old.label, old.total_stock)) end;
    size_after constant jsonb :=
        case when new is null then '{}' else jsonb_build_object('sizes', jsonb_build_object(new.label, new.total_stock)) end;
begin
    -- The version once for each transaction: a drop that it has written already has its new version.
    update drops
    set version = version + case when xmin <> pg_current_xact_id()::xid then 1 else 0 end,
        edit_version = edit_version + case when is_edited then 1 else 0 end,
        sold_out_since = case when is_sold_out then coalesce(sold_out_since, clock_timestamp()) end
    where id = drop_of_size
        and (is_edited or xmin <> pg_current_xact_id()::xid or is_sold_out <> (sold_out_since is not null));
    if is_edited then
        insert into drop_changes (drop_id, edit_version, actor, action, before, after)
        select id, edit_version, 'sql ' || session_user, 'stock', size_before, size_after from drops where id = drop_of_size;
    end if;
    return null;
end $$;

create function raise_version_for_description() returns trigger language plpgsql as $$
declare
    drop_of_text constant bigint := coalesce(new.drop_id, old.drop_id);
begin
    update drops
    set version = version + case when xmin <> pg_current_xact_id()::xid then 1 else 0 end, edit_version = edit_version + 1
    where id = drop_of_text;
    insert into drop_changes (drop_id, edit_version, actor, action, before, after)
    select id, edit_version, 'sql ' || session_user, 'edited', jsonb_build_object('description', coalesce(old.description, '')),
           jsonb_build_object('description', coalesce(new.description, ''))
    from drops where id = drop_of_text;
    return null;
end $$;

create trigger drop_descriptions_raise_version after insert or update or delete on drop_descriptions for each row
when (current_setting('sneakdrop.writes_versions', true) is distinct from 'on')
execute function raise_version_for_description();

-- What is published, and current as before.
create or replace view current_drops as
with recursive held as (
    (select drop_id from reservations where status = 'active' order by drop_id limit 1)
    union all
    select next.* from held cross join lateral (
        select drop_id from reservations where status = 'active' and drop_id > held.drop_id order by drop_id limit 1
    ) next
)
select id, version from drops where (over_since is null or over_since > now()) and status = 'published'
union
(select id, version from drops where over_since <= now() and status = 'published'
 order by over_since desc, id desc limit 12)
union
select id, version from drops where id in (select drop_id from held) and status = 'published';
