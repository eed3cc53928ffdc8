-- The stock proof of a drop needs the total that it began with in the audit log. A server of the release before, which runs on
-- for a while during an upgrade, creates drops without an entry, and so may anybody by SQL.

create function record_unlogged_drop() returns trigger language plpgsql as $$
begin
    insert into drop_changes (drop_id, edit_version, actor, action, after)
    select d.id, d.edit_version, 'sql ' || session_user, 'recorded',
           jsonb_build_object('sizes', coalesce(s.sizes, '{}'))
    from drops d, (select jsonb_object_agg(label, total_stock) as sizes from drop_sizes where drop_id = new.id) s
    where d.id = new.id
        and not exists (select from drop_changes where drop_id = new.id and (before ? 'sizes' or after ? 'sizes'));
    return null;
end $$;

-- When the transaction commits, as the sizes come after their drop.
create constraint trigger drops_logged after insert on drops deferrable initially deferred for each row
execute function record_unlogged_drop();

insert into drop_changes (drop_id, edit_version, actor, action, after)
select s.drop_id, d.edit_version, 'migration', 'recorded', jsonb_build_object('sizes', jsonb_object_agg(s.label, s.total_stock))
from drop_sizes s join drops d on d.id = s.drop_id
where not exists (
    select from drop_changes c where c.drop_id = s.drop_id and (c.before ? 'sizes' or c.after ? 'sizes')
)
group by s.drop_id, d.edit_version order by s.drop_id;
