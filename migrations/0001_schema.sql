-- The schema: users, drops with their sizes, reservations, purchases.
--
-- A drop's row is the lock of everything below it. Whoever changes stock holds `select … for no key update` on that row,
-- so its sizes and reservations need no locks of their own. The constraints are the second guard: they hold against code
-- that forgot the lock as well. src/server/database/error.rs recognises them by name.

create table users (
    id bigint generated always as identity primary key,
    username text not null constraint users_username_length check (char_length(username) between 1 and 32),
    -- The normalised name in lower case, computed by the server: what lower() does depends on the locale of a database, and
    -- two databases must agree on which names are the same.
    username_key text not null constraint users_username_key_unique unique,
    created_at timestamptz not null default clock_timestamp()
);

create table drops (
    id bigint generated always as identity primary key,
    name text not null constraint drops_name_length check (char_length(name) between 1 and 100),
    price_cents integer not null constraint drops_price_range check (price_cents between 0 and 100000000),
    image_url text,
    limit_per_user integer constraint drops_limit_positive check (limit_per_user > 0),
    -- Rises by one with every committed change of stock, so that a receiver can tell newer from older.
    version bigint not null default 1,
    starts_at timestamptz not null default clock_timestamp(),
    ends_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    constraint drops_ends_after_start check (ends_at > starts_at)
);

create table drop_sizes (
    id bigint generated always as identity primary key,
    drop_id bigint not null references drops (id) on delete cascade,
    label text not null constraint drop_sizes_label_length check (char_length(label) between 1 and 20),
    position integer not null,
    total_stock integer not null constraint drop_sizes_total_range check (total_stock between 1 and 1000000),
    available_stock integer not null,
    -- Pairs in active reservations. Counting these rows at each change would cost more the more popular a drop is, and
    -- only with this column can a constraint refuse stock that is returned twice.
    held_stock integer not null default 0,
    constraint drop_sizes_available_within_total check (available_stock between 0 and total_stock),
    constraint drop_sizes_held_within_total check (held_stock >= 0 and available_stock + held_stock <= total_stock),
    constraint drop_sizes_label_unique unique (drop_id, label),
    -- The target of foreign keys that tie a size to its drop.
    constraint drop_sizes_of_drop unique (id, drop_id)
);

-- A reservation refers to its drop through its size: a second foreign key would be checked for each row and guarantee
-- nothing more.
create table reservations (
    id bigint generated always as identity primary key,
    drop_id bigint not null,
    size_id bigint not null,
    user_id bigint not null constraint reservations_user_exists references users (id),
    -- The drop's price when the pair was reserved, which is the price that its purchase costs.
    price_cents integer not null constraint reservations_price_range check (price_cents between 0 and 100000000),
    status text not null default 'active'
        constraint reservations_status_known check (status in ('active', 'completed', 'expired', 'cancelled')),
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz,
    constraint reservations_size_of_drop foreign key (size_id, drop_id) references drop_sizes (id, drop_id),
    constraint reservations_settled_once check ((status = 'active') = (settled_at is null))
);

-- A new reservation is written to as few indexes as possible: those of settled ones do not have it yet.
create unique index reservations_one_active on reservations (user_id, drop_id) where status = 'active';
-- What expires next in a drop. An index on the time alone would be smaller, but the planner at times searches it for one
-- drop among the reservations of all.
create index reservations_expiring on reservations (drop_id, expires_at) where status = 'active';
-- A user's latest settled reservation of a drop, which answers a purchase or a release that is repeated.
create index reservations_settled on reservations (user_id, drop_id, id desc) where status <> 'active';

-- A purchase's user, size, drop and price are those of its reservation. A foreign key on all of them would need an index on
-- all of them, written with each reservation; the tests' query of the invariants checks it instead.
create table purchases (
    id bigint generated always as identity primary key,
    drop_id bigint not null,
    size_id bigint not null,
    user_id bigint not null constraint purchases_user_exists references users (id),
    reservation_id bigint not null constraint purchases_of_reservation references reservations (id)
        constraint purchases_once_per_reservation unique,
    price_cents integer not null constraint purchases_price_range check (price_cents between 0 and 100000000),
    created_at timestamptz not null default clock_timestamp(),
    constraint purchases_size_of_drop foreign key (size_id, drop_id) references drop_sizes (id, drop_id)
);

create index purchases_of_drop on purchases (drop_id, id desc);
create index purchases_of_user on purchases (user_id, drop_id, id desc);

-- What ties sessions to this database. A new database numbers its users from 1 again; without a secret of its own, a token
-- that the server's key verifies would name whoever has that number here. A restored backup keeps its secret, and its
-- users stay signed in.
create table shop (
    is_only_row boolean primary key default true constraint shop_has_one_row check (is_only_row),
    session_secret uuid not null default gen_random_uuid()
);

insert into shop default values;
