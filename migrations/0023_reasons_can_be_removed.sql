-- A reason for a cancellation may name somebody by mistake. It can be removed, from the purchase and from the log, and the log
-- keeps who did it and when. Nothing else of the log changes.

alter table purchases drop constraint purchases_cancelled_with_reason;
alter table purchases add constraint purchases_cancelled_with_reason check (
    case status
        when 'completed' then cancelled_at is null and cancel_reason is null
        when 'cancelled' then cancelled_at is not null and coalesce(char_length(cancel_reason) between 1 and 200, true)
        else false
    end
);

create or replace function refuse_to_change_the_log() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        if to_jsonb(new) = to_jsonb(old) || '{"reason": null}' and exists (
            select from drop_changes
            where drop_id = old.drop_id and purchase_id = old.purchase_id and action = 'reason_removed'
        ) then
            return new;
        end if;
    end if;
    raise integrity_constraint_violation using
        message = 'the audit log is append-only', constraint = 'drop_changes_append_only',
        table = tg_table_name, schema = tg_table_schema;
end $$;
