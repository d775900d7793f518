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

-- A column of every common type: ordinary, extreme and no values. Names are those of the types.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN label AS varchar(20) CHECK (VALUE <> '');
CREATE TYPE pair AS (n int, t text);
CREATE TABLE typed (
    id int PRIMARY KEY,
    bool bool,
    int2 int2,
    int4 int4,
    int8 int8,
    numeric numeric,
    float4 float4,
    float8 float8,
    text text,
    varchar varchar(20),
    bpchar char(8),
    bytea bytea,
    uuid uuid,
    jsonb jsonb,
    date date,
    time time,
    timestamp timestamp,
    timestamptz timestamptz,
    interval interval,
    inet inet,
    cidr cidr,
    macaddr macaddr,
    "int4[]" int4[],
    "text[]" text[],
    "numeric[]" numeric[],
    "timestamptz[]" timestamptz[],
    int4range int4range,
    numrange numrange,
    tstzrange tstzrange,
    daterange daterange,
    int4multirange int4multirange,
    mood mood,
    "mood[]" mood[],
    label label,
    pair pair
);
INSERT INTO typed VALUES (
    1, true, 7, 7, 7, 7.50, 0.5, 0.1, 'seven', 'seven', 'seven', '\x0700ff',
    '00000000-0000-0000-0000-00000000002a', '{"b": 1, "a": [1, 2.50, null]}', '2024-02-29',
    '13:14:15.123456', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15.123456+02',
    '1 day 04:05:06.789', '192.168.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '{1,NULL,3}',
    '{"a,b","\"",NULL,"NULL"}', '{1.50,-2}', '{2024-02-29 13:14:15+02,1999-12-31 23:59:59Z}', '[1,5)',
    '[1.5,2.5]', '[2024-01-01 00:00Z,2025-01-01 00:00Z)', '[2024-01-01,2024-03-01)', '{[1,2),[5,6)}',
    'ok', '{sad,happy}', 'seven', '(7,"a b")'
), (
    2, false, -32768, -2147483648, -9223372036854775808, 12345678901234567890.000000000000000001,
    3.4028235e38, 1.7976931348623157e308, 'ü''"', '', '', '', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    'null', '9999-12-31', '00:00', '9999-12-31 23:59:59.999999', '1900-01-01 00:00Z', '-3 days', 'ff::1/64',
    '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', '{}', '{}', '{}', '{}', 'empty', '(,)', '(,2024-01-01 00:00Z]',
    '[2024-01-01,)', '{}', 'sad', '{}', ' ', '(,)'
), (
    3, NULL, 32767, 2147483647, 9223372036854775807, 'NaN', 'NaN', '-Infinity', NULL, NULL, NULL, NULL, NULL,
    NULL, 'infinity', '23:59:59.999999', '-infinity', 'infinity', '178000000 years', NULL, NULL, NULL, '[2:3]={7,8}',
    '{{a,b},{c,d}}', '{NaN}', '{infinity}', NULL, '[1,1]', '[-infinity,infinity]', NULL, NULL, NULL, NULL,
    NULL, NULL
);
INSERT INTO typed (id) VALUES (4);
