-- Which server answers: its system identifier and timeline. Null on a standby, which has no current position in the log, and
-- for a role that may not ask, as those of managed PostgreSQL.
create function server_identity() returns text language plpgsql set search_path = pg_catalog as $$
begin
    if pg_is_in_recovery() then
        return null;
    end if;
    return (select system_identifier || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8) from pg_control_system());
exception when insufficient_privilege then
    return null;
end $$;
