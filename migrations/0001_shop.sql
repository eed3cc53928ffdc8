-- The shop: who buys, what is for sale, what is set aside, what is sold.
--
-- The drop row is the one lock. Whoever moves stock of a drop holds `select … for no key update` on it, so sizes and
-- reservations below it need no locks of their own. The constraints here are the second guard: they hold even if code
-- that takes no lock ever gets in. Their names are the interface to src/server/database.rs.

create table users (
    id bigint generated always as identity primary key,
    username text not null constraint users_username_length check (char_length(username) between 1 and 32),
    -- The normalised, lower-cased name. Computed by the server, because what lower() does depends on the database's
    -- locale, and two databases must not disagree on who is who.
    username_key text not null constraint users_username_key_unique unique,
    created_at timestamptz not null default clock_timestamp()
);

create table drops (
    id bigint generated always as identity primary key,
    name text not null constraint drops_name_length check (char_length(name) between 1 and 100),
    price_cents integer not null constraint drops_price_range check (price_cents between 0 and 100000000),
    image_url text,
    limit_per_user integer constraint drops_limit_positive check (limit_per_user > 0),
    -- Grows by one with every committed change of stock, so that every receiver can tell newer from older.
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
    -- Pairs in active reservations. Counting them instead would cost as much as a drop is popular, on each change; and
    -- only with this column can the database itself refuse stock that is given back twice.
    held_stock integer not null default 0,
    constraint drop_sizes_available_within_total check (available_stock between 0 and total_stock),
    constraint drop_sizes_held_within_total check (held_stock >= 0 and available_stock + held_stock <= total_stock),
    constraint drop_sizes_label_unique unique (drop_id, label),
    constraint drop_sizes_of_drop unique (id, drop_id)
);

create table reservations (
    id bigint generated always as identity primary key,
    drop_id bigint not null references drops (id),
    size_id bigint not null,
    user_id bigint not null constraint reservations_user_exists references users (id),
    status text not null default 'active'
        constraint reservations_status_known check (status in ('active', 'completed', 'expired', 'cancelled')),
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz,
    constraint reservations_size_of_drop foreign key (size_id, drop_id) references drop_sizes (id, drop_id),
    constraint reservations_settled_once check ((status = 'active') = (settled_at is null))
);

create unique index reservations_one_active on reservations (user_id, drop_id) where status = 'active';
-- The expiry job: the next one to lapse, and those of one drop that have.
create index reservations_next_to_lapse on reservations (expires_at) where status = 'active';
create index reservations_lapsing_of_drop on reservations (drop_id, expires_at) where status = 'active';
-- A visitor's latest reservation of a drop, which answers a purchase that is repeated.
create index reservations_of_user on reservations (user_id, drop_id, id desc);

create table purchases (
    id bigint generated always as identity primary key,
    drop_id bigint not null references drops (id),
    size_id bigint not null,
    user_id bigint not null constraint purchases_user_exists references users (id),
    reservation_id bigint not null references reservations (id)
        constraint purchases_once_per_reservation unique,
    price_cents integer not null constraint purchases_price_range check (price_cents between 0 and 100000000),
    created_at timestamptz not null default clock_timestamp(),
    constraint purchases_size_of_drop foreign key (size_id, drop_id) references drop_sizes (id, drop_id)
);

create index purchases_of_drop on purchases (drop_id, id desc);
create index purchases_of_user on purchases (user_id, drop_id, id desc);
