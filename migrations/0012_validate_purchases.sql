-- In a transaction of its own, so that nothing waits while the purchases are read.
alter table purchases validate constraint purchases_cancelled_with_reason;
