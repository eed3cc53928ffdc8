-- Every batch updates its drop's version, and for each update PostgreSQL prepares all checks of the table and copies all its
-- triggers with their conditions. What concerns columns that batches do not write is therefore guarded by triggers that name
-- these columns and decide in their functions. They come after the update: one before it would lock the row once more.

create function refuse_unreadable_years() returns trigger language plpgsql as $$
begin
    if new.starts_at < '2000-01-01T00:00:00Z' or new.starts_at >= '10000-01-01T00:00:00Z'
        or new.ends_at >= '10000-01-01T00:00:00Z'
    then
        raise check_violation using
            message = 'a drop starts and ends in the years 2000 to 9999 (UTC)',
            constraint = 'drops_in_readable_years', table = tg_table_name, schema = tg_table_schema;
    end if;
    return null;
end $$;

create trigger drops_in_readable_years after insert or update of starts_at, ends_at on drops for each row
execute function refuse_unreadable_years();

alter table drops drop constraint drops_starts_in_readable_year, drop constraint drops_ends_in_readable_year;

create or replace function raise_version_of_drop() returns trigger language plpgsql as $$
begin
    if (old.name, old.price_cents, old.image_url, old.limit_per_user, old.starts_at, old.ends_at)
        is distinct from (new.name, new.price_cents, new.image_url, new.limit_per_user, new.starts_at, new.ends_at)
    then
        -- Unless the writer raised it.
        update drops set version = version + 1 where id = new.id and version = old.version;
    end if;
    return null;
end $$;

drop trigger drops_raise_version on drops;
create trigger drops_raise_version
after update of name, price_cents, image_url, limit_per_user, starts_at, ends_at on drops for each row
execute function raise_version_of_drop();
