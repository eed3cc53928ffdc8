-- Edits by SQL raise a drop's version, as the server's own changes do, so that every node and page follows. The server's
-- sessions set `sneakdrop.writes_versions` and raise it themselves: a second rise after a batch has read its version would
-- make every node read the drop anew.

create function raise_version_of_drop() returns trigger language plpgsql as $$
begin
    new.version := old.version + 1;
    return new;
end $$;

create trigger drops_raise_version before update on drops for each row
when (old.version = new.version
      and (old.name, old.price_cents, old.image_url, old.limit_per_user, old.starts_at, old.ends_at)
          is distinct from (new.name, new.price_cents, new.image_url, new.limit_per_user, new.starts_at, new.ends_at))
execute function raise_version_of_drop();

create function raise_version_for_sizes() returns trigger language plpgsql as $$
begin
    -- Once for each transaction: a drop that it has written already has its new version.
    update drops set version = version + 1
    where id = coalesce(new.drop_id, old.drop_id) and xmin <> pg_current_xact_id()::xid;
    return null;
end $$;

create trigger drop_sizes_raise_version after insert or update or delete on drop_sizes for each row
when (current_setting('sneakdrop.writes_versions', true) is distinct from 'on')
execute function raise_version_for_sizes();
