-- A foreign key is checked row by row, by a query of its own that also locks what it finds: two thirds of what it cost to
-- write a reservation. Reservations and purchases come by the hundred in one statement, so their references are checked by
-- statement instead, and say more than before: a purchase is of its reservation's user, size and drop.
--
-- It is as strict. Whoever deletes what may be referred to first waits for those who are writing references, and keeps
-- others from it until the deletion is committed or undone; then each side's check sees what the other did. That takes
-- transactions whose statements each see the latest, so that others are refused. A backup that is restored whole makes triggers
-- last; before one is loaded table by table, they must be switched off (pg_restore --disable-triggers).

alter table reservations drop constraint reservations_user_exists;
alter table reservations drop constraint reservations_size_of_drop;
alter table purchases drop constraint purchases_user_exists;
alter table purchases drop constraint purchases_size_of_drop;
alter table purchases drop constraint purchases_reservation_id_fkey;

create function break_reference(reference text) returns void language plpgsql as $$
begin
    raise foreign_key_violation using message = 'reference "' || reference || '" does not hold', constraint = reference;
end $$;

create function see_the_latest() returns void language plpgsql as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'references are written and deleted at read committed only' using errcode = 'feature_not_supported';
    end if;
end $$;

create function reservations_refer() returns trigger language plpgsql set search_path from current as $$
begin
    perform see_the_latest();
    if exists (select from written w where not exists (select from users u where u.id = w.user_id)) then
        perform break_reference('reservations_user_exists');
    end if;
    if exists (select from written w where not exists (
        select from drop_sizes s where (s.id, s.drop_id) = (w.size_id, w.drop_id)
    )) then
        perform break_reference('reservations_size_of_drop');
    end if;
    return null;
end $$;

create function purchases_refer() returns trigger language plpgsql set search_path from current as $$
begin
    perform see_the_latest();
    if exists (select from written w where not exists (
        select from reservations r
        where (r.id, r.user_id, r.size_id, r.drop_id) = (w.reservation_id, w.user_id, w.size_id, w.drop_id)
    )) then
        perform break_reference('purchases_of_reservation');
    end if;
    return null;
end $$;

create trigger refer after insert on reservations referencing new table as written
    for each statement execute function reservations_refer();
create trigger refer after insert on purchases referencing new table as written
    for each statement execute function purchases_refer();

-- What is referred to, or refers, is written once. (An update may set an identity to its default, which is the next number.)

create function is_written_once() returns trigger language plpgsql as $$
begin
    raise exception 'this is written once' using errcode = 'integrity_constraint_violation';
end $$;

create trigger written_once before update of id on users for each statement execute function is_written_once();
create trigger written_once before update of id, drop_id on drop_sizes
    for each statement execute function is_written_once();
create trigger written_once before update of id, drop_id, size_id, user_id on reservations
    for each statement execute function is_written_once();
create trigger written_once before update of drop_id, size_id, user_id, reservation_id on purchases
    for each statement execute function is_written_once();

create trigger kept before truncate on users for each statement execute function is_written_once();
create trigger kept before truncate on drop_sizes for each statement execute function is_written_once();
create trigger kept before truncate on reservations for each statement execute function is_written_once();

-- Before anything is deleted, and both tables at once: whoever waited with rows in hand could wait in a circle.

create function hold_references() returns trigger language plpgsql set search_path from current as $$
begin
    perform see_the_latest();
    lock table reservations, purchases in share row exclusive mode;
    return null;
end $$;

create function users_are_referred_to() returns trigger language plpgsql set search_path from current as $$
begin
    if exists (select from deleted d join reservations r on r.user_id = d.id) then
        perform break_reference('reservations_user_exists');
    end if;
    return null;
end $$;

create function drop_sizes_are_referred_to() returns trigger language plpgsql set search_path from current as $$
begin
    if exists (select from deleted d join reservations r on r.size_id = d.id) then
        perform break_reference('reservations_size_of_drop');
    end if;
    return null;
end $$;

create function reservations_are_referred_to() returns trigger language plpgsql set search_path from current as $$
begin
    if exists (select from deleted d join purchases p on p.reservation_id = d.id) then
        perform break_reference('purchases_of_reservation');
    end if;
    return null;
end $$;

create trigger hold_references before delete on users for each statement execute function hold_references();
create trigger hold_references before delete on drop_sizes for each statement execute function hold_references();
create trigger hold_references before delete on reservations for each statement execute function hold_references();

create trigger are_referred_to after delete on users referencing old table as deleted
    for each statement execute function users_are_referred_to();
create trigger are_referred_to after delete on drop_sizes referencing old table as deleted
    for each statement execute function drop_sizes_are_referred_to();
create trigger are_referred_to after delete on reservations referencing old table as deleted
    for each statement execute function reservations_are_referred_to();
