-- A shop, as applications model it: what the statements of the corpus read.
SET TIME ZONE 'UTC';
CREATE TYPE status AS ENUM ('new', 'paid', 'sent', 'cancelled');
CREATE TYPE address AS (street text, city text, zip text);
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE TABLE customer (
    id int PRIMARY KEY,
    name text NOT NULL,
    mail email UNIQUE,
    home address,
    country char(2) DEFAULT 'FI',
    tags text[] NOT NULL DEFAULT '{}',
    profile jsonb NOT NULL DEFAULT '{}',
    last_ip inet,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE TABLE category (id int PRIMARY KEY, parent_id int REFERENCES category, title varchar(40) NOT NULL);
CREATE TABLE product (
    id int PRIMARY KEY,
    category_id int REFERENCES category,
    sku varchar(20) UNIQUE,
    title text NOT NULL,
    body text NOT NULL DEFAULT '',
    search tsvector GENERATED ALWAYS AS (to_tsvector('english', title || ' ' || body)) STORED,
    price numeric(10, 2) NOT NULL,
    cost money,
    weight real,
    scores int[] NOT NULL DEFAULT '{}',
    attributes jsonb NOT NULL DEFAULT '{}',
    raw json,
    uid uuid NOT NULL,
    image bytea,
    valid daterange,
    updated_on date
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customer,
    state status NOT NULL DEFAULT 'new',
    placed_at timestamptz NOT NULL,
    local_time timestamp,
    due date,
    note text,
    discount double precision,
    took interval
);
CREATE TABLE order_line (
    order_id bigint REFERENCES orders,
    line smallint,
    product_id int REFERENCES product,
    quantity int NOT NULL,
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE event (id int NOT NULL, at date NOT NULL, kind text, payload jsonb) PARTITION BY RANGE (at);
CREATE TABLE event_2023 PARTITION OF event FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE booking (id int PRIMARY KEY, room text, during tstzrange, seats int4range);
CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
CREATE TABLE kinds (
    id int PRIMARY KEY, b boolean, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric,
    t text, v varchar, c char(5), d date, ti time, ts timestamp, tz timestamptz, iv interval,
    u uuid, j json, jb jsonb, by bytea, ip inet, ci cidr, m macaddr, mo money, e status,
    ai int4[], at text[], au uuid[], r int4range, bi bit(4), x xml, o oid
);

INSERT INTO customer
SELECT i, 'Customer ' || i, 'c' || i || '@example.org', ROW('Street ' || i, 'City ' || i % 3, lpad(i::text, 5, '0'))::address,
       CASE i % 3 WHEN 0 THEN 'FI' WHEN 1 THEN 'SE' ELSE 'DE' END,
       CASE WHEN i % 2 = 0 THEN ARRAY['vip', 'news'] ELSE ARRAY['news'] END,
       jsonb_build_object('age', 20 + i, 'pets', jsonb_build_array('cat', i), 'prefs', jsonb_build_object('dark', i % 2 = 0)),
       ('10.0.0.' || i)::inet, i % 5 <> 0, '2024-01-01 08:00+00'::timestamptz + i * interval '1 day 1 hour',
       CASE WHEN i % 7 = 0 THEN '2024-06-01 00:00+00'::timestamptz END
FROM generate_series(1, 20) i;
INSERT INTO category VALUES (1, NULL, 'All'), (2, 1, 'Books'), (3, 1, 'Tools'), (4, 2, 'Novels'), (5, 3, 'Saws');
INSERT INTO product (id, category_id, sku, title, body, price, cost, weight, scores, attributes, raw, uid, image, valid, updated_on)
SELECT i, 2 + i % 4, 'SKU-' || lpad(i::text, 4, '0'), 'Product ' || i, 'The quick brown fox runs over dog ' || i, i * 3.5, (i * 2)::text::money, i / 3.0,
       ARRAY[i % 5, (i + 1) % 5], jsonb_build_object('color', (ARRAY['red', 'green', 'blue'])[1 + i % 3], 'size', i, 'dims', jsonb_build_array(i, i * 2)),
       json_build_object('n', i), ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, decode(lpad(to_hex(i), 4, '0'), 'hex'),
       daterange('2024-01-01', '2024-01-01'::date + i), '2024-02-01'::date + i
FROM generate_series(1, 30) i;
INSERT INTO orders
SELECT i, 1 + i % 20, (ARRAY['new', 'paid', 'sent', 'cancelled']::status[])[1 + i % 4],
       '2024-03-01 10:00+00'::timestamptz + i * interval '7 hours', '2024-03-01 10:00'::timestamp + i * interval '7 hours',
       '2024-03-10'::date + i, CASE WHEN i % 3 = 0 THEN 'note ' || i END, i / 10.0, i * interval '90 minutes'
FROM generate_series(1, 60) i;
INSERT INTO order_line SELECT o, l, 1 + (o * l) % 30, l, 3.5 * l FROM generate_series(1, 60) o, generate_series(1, 3) l;
INSERT INTO event SELECT i, '2023-06-01'::date + i * 20, CASE i % 2 WHEN 0 THEN 'click' ELSE 'view' END, jsonb_build_object('n', i) FROM generate_series(1, 25) i;
INSERT INTO booking SELECT i, 'room ' || i % 3, tstzrange('2024-05-01 10:00+00'::timestamptz + i * interval '1 hour', '2024-05-01 12:00+00'::timestamptz + i * interval '1 hour'), int4range(i, i + 5) FROM generate_series(1, 9) i;
INSERT INTO schema_migrations VALUES ('20240101'), ('20240202');
INSERT INTO kinds VALUES
    (1, true, 2, 4, 8, 1.5, 2.5, 12.34, 'text', 'varchar', 'char', '2024-02-29', '12:34:56', '2024-02-29 12:34:56', '2024-02-29 12:34:56+00', '1 day 02:03:04',
     '00000000-0000-4000-8000-000000000001', '{"a": 1}', '{"a": 1}', '\x0102', '10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '12.34', 'paid',
     '{1,2,3}', '{a,b}', '{00000000-0000-4000-8000-000000000001}', '[1,5)', B'1010', '<a/>', 42),
    (2, false, -2, -4, -8, -1.5, 'NaN', 'NaN', '', '', '', '1999-12-31', '00:00', '1999-12-31 23:59:59', '1999-12-31 23:59:59+00', '-1 mon',
     '00000000-0000-4000-8000-000000000002', 'null', '[]', '\x', '::1', '::/0', '00:00:00:00:00:00', '-1', 'new', '{}', '{NULL}', '{}', 'empty', B'0000', '<b/>', 0),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE VIEW active_customer AS SELECT id, name, mail, country FROM customer WHERE active AND deleted_at IS NULL;
CREATE VIEW order_total AS
    SELECT o.id, o.customer_id, o.state, sum(l.quantity * l.price) AS total
    FROM orders o JOIN order_line l ON l.order_id = o.id GROUP BY o.id;
CREATE VIEW big_spender AS
    SELECT c.name, sum(t.total) AS spent FROM active_customer c JOIN order_total t ON t.customer_id = c.id GROUP BY c.name HAVING sum(t.total) > 50;
CREATE MATERIALIZED VIEW daily_sales AS
    SELECT date_trunc('day', o.placed_at) AS day, count(*) AS orders FROM orders o GROUP BY 1;
CREATE INDEX ON product USING gin (search);
CREATE INDEX ON customer USING gin (profile jsonb_path_ops);
