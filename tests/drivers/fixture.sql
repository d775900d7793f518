-- What the driver scripts read and write.
CREATE TABLE item (
    id int PRIMARY KEY,
    name text,
    price numeric(10, 2),
    ratio float8,
    at timestamptz,
    day date,
    tags text[],
    data jsonb,
    raw bytea,
    ok boolean
);
INSERT INTO item
SELECT i, 'item ' || i, i * 1.25, i / 3.0::float8, '2024-01-01 00:00+00'::timestamptz + i * interval '1 hour',
       '2024-01-01'::date + i, ARRAY['a' || i, NULL], jsonb_build_object('n', i), decode(lpad(to_hex(i), 4, '0'), 'hex'), i % 2 = 0
FROM generate_series(1, 20) i;
INSERT INTO item (id) VALUES (99);
CREATE TABLE stock (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO stock VALUES (1, 0), (2, 0);
