-- A foreign key is checked row by row, by a query of its own that also locks what it finds: two thirds of what it cost to
-- write a reservation. Reservations and purchases come by the hundred in one statement, so their references are checked by
-- statement instead, and say more than before: a purchase is of its reservation's user, size and drop.
--
-- It is as strict. Whoever deletes what may be referred to first waits for those who are writing references, and keeps
-- others from it until the deletion is committed or undone; then each side's check sees what the other did.

alter table reservations drop constraint reservations_user_exists;
alter table reservations drop constraint reservations_size_of_drop;
alter table purchases drop constraint purchases_user_exists;
alter table purchases drop constraint purchases_size_of_drop;
alter table purchases drop constraint purchases_reservation_id_fkey;

create function break_reference(reference text) returns void language plpgsql as $$
begin
    raise foreign_key_violation using message = 'reference "' || reference || '" does not hold', constraint = reference;
end $$;

create function reservations_refer() returns trigger language plpgsql as $$
begin
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

create function purchases_refer() returns trigger language plpgsql as $$
begin
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

-- What is written once and referred to, or refers, never changes: users, sizes and reservations have identities that
-- cannot be set, and of the rest an update names no column.

create function is_written_once() returns trigger language plpgsql as $$
begin
    raise exception 'this is written once' using errcode = 'integrity_constraint_violation';
end $$;

create trigger written_once before update of drop_id, size_id, user_id on reservations
    for each statement execute function is_written_once();
create trigger written_once before update of drop_id, size_id, user_id, reservation_id on purchases
    for each statement execute function is_written_once();
create trigger written_once before update of drop_id on drop_sizes
    for each statement execute function is_written_once();

create function users_are_referred_to() returns trigger language plpgsql as $$
begin
    lock table reservations in share row exclusive mode;
    if exists (select from deleted d join reservations r on r.user_id = d.id) then
        perform break_reference('reservations_user_exists');
    end if;
    return null;
end $$;

create function drop_sizes_are_referred_to() returns trigger language plpgsql as $$
begin
    lock table reservations in share row exclusive mode;
    if exists (select from deleted d join reservations r on r.size_id = d.id) then
        perform break_reference('reservations_size_of_drop');
    end if;
    return null;
end $$;

create function reservations_are_referred_to() returns trigger language plpgsql as $$
begin
    lock table purchases in share row exclusive mode;
    if exists (select from deleted d join purchases p on p.reservation_id = d.id) then
        perform break_reference('purchases_of_reservation');
    end if;
    return null;
end $$;

create trigger are_referred_to after delete on users referencing old table as deleted
    for each statement execute function users_are_referred_to();
create trigger are_referred_to after delete on drop_sizes referencing old table as deleted
    for each statement execute function drop_sizes_are_referred_to();
create trigger are_referred_to after delete on reservations referencing old table as deleted
    for each statement execute function reservations_are_referred_to();

create trigger kept before truncate on users for each statement execute function is_written_once();
create trigger kept before truncate on drop_sizes for each statement execute function is_written_once();
create trigger kept before truncate on reservations for each statement execute function is_written_once();
