//! E06xx: scheduling and backends.

codes! {}
