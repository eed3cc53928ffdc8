-- Times that a page can read: RFC 3339 ends with the year 9999, and infinity is no time. One such time would cost every
-- visitor their page. What is there already becomes the nearest time that can be read.

update drops
set starts_at = least(greatest(starts_at, '2000-01-01T00:00:00Z'), '9999-12-30T00:00:00Z'),
    ends_at = case when ends_at <= '2000-01-01T00:00:00Z' then '2000-01-02T00:00:00Z'
                   when ends_at < '10000-01-01T00:00:00Z' then ends_at end
where starts_at not between '2000-01-01T00:00:00Z' and '9999-12-30T00:00:00Z'
   or ends_at not between '2000-01-01T00:00:00Z' and '9999-12-31T23:59:59.999999Z';

alter table drops
    add constraint drops_starts_in_readable_year
        check (starts_at >= '2000-01-01T00:00:00Z' and starts_at < '10000-01-01T00:00:00Z'),
    add constraint drops_ends_in_readable_year check (ends_at < '10000-01-01T00:00:00Z');

-- `not valid`: reading all rows would lock the tables for longer than an insert may wait. The server's clock wrote them.
alter table reservations
    add constraint reservations_in_readable_years
        check (created_at >= '2000-01-01T00:00:00Z' and expires_at < '10000-01-01T00:00:00Z') not valid;
alter table purchases
    add constraint purchases_in_readable_years
        check (created_at >= '2000-01-01T00:00:00Z' and created_at < '10000-01-01T00:00:00Z') not valid;
