-- What ties sessions to this database. A new database numbers its users from 1 again; without a secret of its own, a
-- visitor of the one before, whose token the server's key still verifies, would be whoever has their number here. A
-- backup that is restored keeps its secret, and its visitors stay signed in.

create table shop (
    is_only_row boolean primary key default true constraint shop_has_one_row check (is_only_row),
    session_secret uuid not null default gen_random_uuid()
);

insert into shop default values;
