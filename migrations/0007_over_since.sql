-- Since when a drop is over: its last pair was sold, or its end came. What is over long ago is history, which pages and nodes
-- do not hold. Batches write `sold_out_since`; an end may lie in the future.

alter table drops add column sold_out_since timestamptz;
update drops
set sold_out_since = coalesce((select max(created_at) from purchases where drop_id = drops.id), created_at)
where not exists (select from drop_sizes where drop_id = drops.id and available_stock + held_stock > 0);

alter table drops add column over_since timestamptz generated always as (least(sold_out_since, ends_at)) stored;
create index drops_over_since on drops (over_since desc, id desc);

create or replace function raise_version_for_sizes() returns trigger language plpgsql as $$
declare
    drop_of_size constant bigint := coalesce(new.drop_id, old.drop_id);
    is_sold_out constant boolean := not exists (
        select from drop_sizes where drop_id = drop_of_size and available_stock + held_stock > 0
    );
begin
    -- Once for each transaction: a drop that it has written already has its new version.
    update drops
    set version = version + case when xmin <> pg_current_xact_id()::xid then 1 else 0 end,
        sold_out_since = case when is_sold_out then coalesce(sold_out_since, clock_timestamp()) end
    where id = drop_of_size and (xmin <> pg_current_xact_id()::xid or is_sold_out <> (sold_out_since is not null));
    return null;
end $$;

-- What pages, snapshots, polls and memory hold: drops that are not over, those with held pairs, and the newest 12 others.
create view current_drops as
with recursive held as (
    (select drop_id from reservations where status = 'active' order by drop_id limit 1)
    union all
    select next.* from held cross join lateral (
        select drop_id from reservations where status = 'active' and drop_id > held.drop_id order by drop_id limit 1
    ) next
)
select id, version from drops where over_since is null or over_since > now()
union
(select id, version from drops where over_since <= now() order by over_since desc, id desc limit 12)
union
select id, version from drops where id in (select drop_id from held);
