-- Statements of applications and ORMs. `-- name` begins each; a reason after it says why it is
-- not looked up. `-- <-` gives the values of its parameters as JSON.

-- inner join
SELECT o.id, c.name FROM orders o JOIN customer c ON c.id = o.customer_id WHERE c.country = 'FI' ORDER BY o.id;
-- left join
SELECT c.id, o.id AS order_id FROM customer c LEFT JOIN orders o ON o.customer_id = c.id AND o.state = 'paid' ORDER BY 1, 2 NULLS LAST;
-- right join
SELECT p.title, l.quantity FROM order_line l RIGHT JOIN product p ON p.id = l.product_id ORDER BY p.id, l.order_id, l.line;
-- full join
SELECT a.id, b.id FROM category a FULL OUTER JOIN category b ON a.id = b.parent_id ORDER BY a.id, b.id;
-- cross join
SELECT a.title, b.title FROM category a CROSS JOIN category b ORDER BY a.id, b.id LIMIT 7;
-- natural join and using
SELECT * FROM (SELECT id, title FROM category) a NATURAL JOIN (SELECT id, parent_id FROM category) b JOIN product USING (id) ORDER BY id;
-- self join
SELECT child.title, parent.title FROM category AS child INNER JOIN category AS parent ON child.parent_id = parent.id ORDER BY child.id;
-- aggregates with filter
SELECT count(*), count(*) FILTER (WHERE state = 'paid') AS paid, sum(discount) FILTER (WHERE discount > 2) FROM orders;
-- aggregates of every kind
SELECT min(price), max(price), avg(price), sum(price), stddev(price), variance(weight), bool_and(price > 0), every(price > 1), count(DISTINCT category_id) FROM product;
-- group by having
SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id HAVING count(*) > 2 ORDER BY n DESC, customer_id;
-- group by expression
SELECT date_trunc('month', placed_at) AS month, count(*) FROM orders GROUP BY date_trunc('month', placed_at) ORDER BY month;
-- grouping sets
SELECT state, customer_id, count(*), grouping(state, customer_id) FROM orders GROUP BY GROUPING SETS ((state), (customer_id), ()) ORDER BY 1, 2;
-- rollup
SELECT state, extract(month FROM placed_at) AS m, count(*) FROM orders GROUP BY ROLLUP (state, extract(month FROM placed_at)) ORDER BY 1, 2;
-- cube
SELECT country, active, count(*) FROM customer GROUP BY CUBE (country, active) ORDER BY 1, 2;
-- string and array aggregates
SELECT country, string_agg(name, ', ' ORDER BY name DESC), array_agg(id ORDER BY id) FROM customer GROUP BY country ORDER BY 1;
-- json aggregates
SELECT jsonb_agg(jsonb_build_object('id', id, 'name', name) ORDER BY id), json_object_agg(id, name ORDER BY id) FROM customer;
-- ordered set aggregates
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY price), mode() WITHIN GROUP (ORDER BY category_id), percentile_disc(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY price) FROM product;
-- common table expression
WITH recent AS (SELECT * FROM orders WHERE placed_at > '2024-03-05'), counted AS (SELECT customer_id, count(*) AS n FROM recent GROUP BY 1) SELECT c.name, n FROM counted JOIN customer c ON c.id = customer_id ORDER BY 1;
-- materialized common table expression
WITH x AS MATERIALIZED (SELECT id, price FROM product), y AS NOT MATERIALIZED (SELECT id FROM x WHERE price > 10) SELECT count(*) FROM y;
-- recursive tree
WITH RECURSIVE tree (id, title, depth, path) AS (SELECT id, title, 0, ARRAY[id] FROM category WHERE parent_id IS NULL UNION ALL SELECT c.id, c.title, t.depth + 1, t.path || c.id FROM category c JOIN tree t ON t.id = c.parent_id) SELECT repeat('  ', depth) || title, path FROM tree ORDER BY path;
-- recursive search and cycle
WITH RECURSIVE tree AS (SELECT id, parent_id FROM category WHERE id = 1 UNION ALL SELECT c.id, c.parent_id FROM category c, tree t WHERE c.parent_id = t.id) SEARCH DEPTH FIRST BY id SET ordercol CYCLE id SET is_cycle USING path SELECT id, is_cycle FROM tree ORDER BY ordercol;
-- recursive counter
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i, title FROM n JOIN category ON id = i ORDER BY i;
-- window functions
SELECT id, row_number() OVER (PARTITION BY customer_id ORDER BY placed_at), rank() OVER w, dense_rank() OVER w, lag(id, 1, 0::bigint) OVER w, lead(id) OVER w, first_value(id) OVER w, ntile(4) OVER w FROM orders WINDOW w AS (ORDER BY customer_id, id) ORDER BY id;
-- window frames
SELECT id, sum(price) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW), avg(price) OVER (ORDER BY price RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING), count(*) OVER (ORDER BY id GROUPS 2 PRECEDING EXCLUDE CURRENT ROW) FROM product ORDER BY id;
-- top n per group
SELECT * FROM (SELECT o.*, row_number() OVER (PARTITION BY customer_id ORDER BY placed_at DESC) AS rn FROM orders o) ranked WHERE rn <= 2 ORDER BY customer_id, rn;
-- distinct on
SELECT DISTINCT ON (customer_id) customer_id, id, placed_at FROM orders ORDER BY customer_id, placed_at DESC;
-- distinct
SELECT DISTINCT country FROM customer ORDER BY country;
-- union
SELECT name AS label FROM customer WHERE id < 4 UNION SELECT title FROM product WHERE id < 4 ORDER BY label;
-- union all with limits
(SELECT id, 'customer' AS kind FROM customer ORDER BY id LIMIT 2) UNION ALL (SELECT id, 'product' FROM product ORDER BY id DESC LIMIT 2) ORDER BY 2, 1;
-- intersect
SELECT customer_id FROM orders WHERE state = 'paid' INTERSECT SELECT customer_id FROM orders WHERE state = 'sent' ORDER BY 1;
-- except
SELECT id FROM product EXCEPT ALL SELECT product_id FROM order_line WHERE quantity > 2 ORDER BY 1;
-- lateral join
SELECT c.name, last.id, last.placed_at FROM customer c CROSS JOIN LATERAL (SELECT o.id, o.placed_at FROM orders o WHERE o.customer_id = c.id ORDER BY o.placed_at DESC LIMIT 1) last ORDER BY c.id;
-- left join lateral
SELECT c.id, s.n FROM customer c LEFT JOIN LATERAL (SELECT count(*) AS n FROM orders WHERE customer_id = c.id) s ON true ORDER BY 1;
-- jsonb operators
SELECT id, profile->'age', profile->>'age', profile#>'{prefs,dark}', profile#>>'{pets,0}', profile ? 'age', profile ?| ARRAY['x', 'age'], profile ?& ARRAY['age', 'pets'] FROM customer ORDER BY id;
-- jsonb containment
SELECT id FROM customer WHERE profile @> '{"prefs": {"dark": true}}' AND '{"age": 22}'::jsonb <@ profile;
-- jsonb compared
SELECT id FROM customer WHERE (profile->>'age')::int BETWEEN 25 AND 30 ORDER BY (profile->>'age')::numeric DESC;
-- jsonb functions
SELECT id, jsonb_array_length(profile->'pets'), jsonb_typeof(profile), jsonb_set(profile, '{age}', '1'), profile - 'age', profile || '{"x": 1}', jsonb_strip_nulls(profile), jsonb_pretty(profile) FROM customer WHERE id = 2;
-- jsonb elements
SELECT c.id, pet.value, k.key FROM customer c, jsonb_array_elements(c.profile->'pets') WITH ORDINALITY AS pet(value, n), jsonb_object_keys(c.profile) AS k(key) ORDER BY 1, 2, 3;
-- jsonb each
SELECT id, key, value FROM customer, jsonb_each_text(profile) ORDER BY 1, 2;
-- jsonb path
SELECT id FROM customer WHERE profile @? '$.pets[*] ? (@ == "cat")' AND profile @@ '$.age > 30' ORDER BY id;
-- jsonb path query
SELECT id, jsonb_path_query_first(profile, '$.age'), jsonb_path_exists(profile, '$.pets[*] ? (@ > $x)', '{"x": 3}'), jsonb_path_query_array(profile, '$.pets[*]') FROM customer ORDER BY id;
-- jsonb record set
SELECT x.a, x.b FROM product, jsonb_to_record(attributes) AS x(a int, b text) WHERE id < 4 ORDER BY id;
-- jsonb build nested
SELECT json_build_object('customer', row_to_json(c), 'orders', (SELECT coalesce(json_agg(o ORDER BY o.id), '[]') FROM orders o WHERE o.customer_id = c.id)) FROM customer c WHERE c.id = 3;
-- array containment
SELECT id FROM customer WHERE tags @> ARRAY['vip'] AND tags && '{news,other}' ORDER BY id;
-- array any and all
SELECT id FROM product WHERE 3 = ANY (scores) AND 0 <> ALL (scores) ORDER BY id;
-- array functions
SELECT id, array_length(tags, 1), cardinality(tags), array_to_string(tags, '|'), tags[1], tags[1:1], array_position(tags, 'news'), array_append(tags, 'x') || ARRAY['y'], unnest(tags) FROM customer ORDER BY id, 9;
-- array subquery
SELECT c.id, ARRAY(SELECT o.id FROM orders o WHERE o.customer_id = c.id ORDER BY 1) AS ids FROM customer c ORDER BY 1;
-- unnest join
SELECT u.tag, count(*) FROM customer CROSS JOIN unnest(tags) AS u(tag) GROUP BY u.tag ORDER BY 2 DESC, 1;
-- unnest of several with ordinality
SELECT p.id, x.a, x.b, x.n FROM product p, unnest(p.scores, ARRAY['a', 'b']) WITH ORDINALITY AS x(a, b, n) WHERE p.id < 3 ORDER BY 1, 4;
-- any of parameters
SELECT id, name FROM customer WHERE id = ANY ($1::int[]) ORDER BY id;
-- <- [[1, 2, 3]]
-- full text search
SELECT id, ts_rank(search, query) AS rank FROM product, to_tsquery('english', 'fox & dog') query WHERE search @@ query ORDER BY rank DESC, id LIMIT 5;
-- full text of a phrase
SELECT id FROM product WHERE to_tsvector('english', title || ' ' || body) @@ plainto_tsquery('english', 'quick fox') AND search @@ websearch_to_tsquery('"brown fox" -cat') ORDER BY id;
-- full text headline
SELECT id, ts_headline('english', body, phraseto_tsquery('english', 'brown fox'), 'MaxWords=10, MinWords=5') FROM product WHERE id = 1;
-- date_trunc and extract
SELECT date_trunc('week', placed_at) AS week, extract(dow FROM placed_at), date_part('hour', local_time), extract(epoch FROM took), count(*) FROM orders GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
-- date_trunc in a zone
SELECT date_trunc('day', placed_at, 'Europe/Helsinki'), placed_at AT TIME ZONE 'UTC', placed_at AT TIME ZONE 'Asia/Tokyo', local_time AT TIME ZONE 'UTC', timezone('Europe/Paris', placed_at) FROM orders ORDER BY id;
-- to_char
SELECT to_char(placed_at, 'YYYY-MM-DD HH24:MI:SS TZ'), to_char(discount, '999D99'), to_char(due, 'FMDay, FMMonth DD'), to_char(took, 'HH24:MI') FROM orders ORDER BY id;
-- intervals
SELECT id, placed_at + interval '1 month', due - 7, placed_at - '2 hours'::interval, due + took, make_interval(days => 3), justify_hours(took), age(placed_at, '2024-01-01') FROM orders ORDER BY id;
-- casts between dates
SELECT id, placed_at::date, local_time::time, due::timestamp, placed_at::timestamp, cast(local_time AS timestamptz), placed_at::text FROM orders ORDER BY id;
-- rows between dates
SELECT count(*) FROM orders WHERE placed_at >= '2024-03-02' AND placed_at < date '2024-03-09' + 1 AND due BETWEEN '2024-03-01'::date AND '2024-05-01'::date;
-- to_timestamp and to_date
SELECT to_timestamp(1700000000 + id), to_date('2024-01-' || lpad(id::text, 2, '0'), 'YYYY-MM-DD'), to_timestamp('2024 ' || id, 'YYYY DD') FROM product WHERE id < 10 ORDER BY id;
-- date_bin and overlaps
SELECT date_bin('15 minutes', placed_at, '2024-01-01'), (placed_at, interval '1 hour') OVERLAPS ('2024-03-02'::timestamptz, '2024-03-03'::timestamptz) FROM orders ORDER BY id;
-- series of days
SELECT d::date AS day, count(o.id) FROM generate_series('2024-03-01'::date, '2024-03-10'::date, '1 day') AS d LEFT JOIN orders o ON o.placed_at::date = d GROUP BY 1 ORDER BY 1;
-- scalar subquery
SELECT c.name, (SELECT max(placed_at) FROM orders o WHERE o.customer_id = c.id) FROM customer c ORDER BY c.id;
-- exists
SELECT id FROM customer c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.state = 'sent') AND NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id AND o.state = 'new') ORDER BY id;
-- in subquery
SELECT title FROM product WHERE id IN (SELECT product_id FROM order_line WHERE quantity > 1) AND (id, price) NOT IN (SELECT 1, 3.5) ORDER BY id;
-- in list
SELECT id, title FROM product WHERE id IN (1, 2, 3, 5, 8) AND category_id NOT IN (9, 10) ORDER BY id;
-- row comparison
SELECT id, placed_at FROM orders WHERE (placed_at, id) > ('2024-03-05 00:00+00', 10) ORDER BY placed_at, id LIMIT 10;
-- case and coalesce
SELECT id, CASE WHEN price > 50 THEN 'high' WHEN price > 20 THEN 'mid' ELSE 'low' END, CASE category_id WHEN 2 THEN 'book' ELSE 'other' END, coalesce(weight::text, '-'), nullif(category_id, 2), greatest(price, 10), least(price, 99) FROM product ORDER BY id;
-- like and regex
SELECT id FROM customer WHERE name LIKE 'Customer 1%' AND name ILIKE '%MER%' AND name ~ '^C.*\d$' AND name !~* 'xyz' AND name NOT LIKE 'a!%' ESCAPE '!' AND name SIMILAR TO 'C%' ORDER BY id;
-- string functions
SELECT upper(name), lower(name), initcap(name), length(name), char_length(name), substring(name from 1 for 3), substring(name, 2), left(name, 2), right(name, 2), trim(both ' ' from name), ltrim(name), replace(name, 'Cust', 'X'), split_part(name, ' ', 2), position('s' in name), strpos(name, 'm'), lpad(name, 15, '*'), reverse(name), md5(name), concat(name, '-', id), concat_ws('/', name, country), format('%s is %L', name, id), overlay(name placing 'xx' from 2 for 1), translate(name, 'C', 'K'), starts_with(name, 'Cu'), ascii(name), quote_literal(name) FROM customer ORDER BY id;
-- regexp functions
SELECT regexp_replace(name, '\d+', '#', 'g'), regexp_match(name, '(\w+) (\d+)'), regexp_split_to_array(name, ' '), substring(name from '\d+'), regexp_count(name, 'u') FROM customer ORDER BY id;
-- number functions
SELECT abs(-price), ceil(price), floor(weight), round(price, 1), round(weight), trunc(price), mod(id, 3), power(id, 2), sqrt(id), sign(price), id % 7, id / 2, id ^ 2, |/ price, @ -id, width_bucket(price, 0, 100, 5), log(price), exp(1), pi() FROM product ORDER BY id;
-- casts
SELECT id::text AS word, id::bigint AS big, price::int, price::float8, '12'::int, cast(id AS varchar(3)) AS short, id::numeric(12, 2) AS n, active::int, mail::text FROM customer JOIN product USING (id) ORDER BY customer.id;
-- casts of literals
SELECT id FROM orders WHERE id = '5'::bigint OR state = 'paid'::status OR due = DATE '2024-03-12' OR placed_at = TIMESTAMP WITH TIME ZONE '2024-03-01 10:00+00' OR took > INTERVAL '1' DAY ORDER BY id;
-- values
SELECT c.title, v.label FROM category c JOIN (VALUES (1, 'root'), (2, 'branch')) AS v(id, label) ON v.id = c.id ORDER BY 1;
-- table command
TABLE category;
-- table command in a query
WITH c AS (TABLE category) SELECT count(*) FROM c;
-- fetch first
SELECT id, price FROM product ORDER BY price DESC OFFSET 2 ROWS FETCH FIRST 3 ROWS ONLY;
-- fetch with ties
SELECT id, category_id FROM product ORDER BY category_id FETCH FIRST 5 ROWS WITH TIES;
-- limit and offset
SELECT * FROM product ORDER BY id LIMIT 5 OFFSET 10;
-- generate_series joined
SELECT g, p.title FROM generate_series(1, 10, 2) AS g LEFT JOIN product p ON p.id = g ORDER BY g;
-- rows from
SELECT c.id, r.a, r.b FROM category c, ROWS FROM (generate_series(1, 2), generate_series(3, 5)) AS r(a, b) ORDER BY 1, 2, 3;
-- view
SELECT * FROM active_customer WHERE country = 'SE' ORDER BY id;
-- view over views
SELECT * FROM big_spender ORDER BY spent DESC, name;
-- materialized view
SELECT * FROM daily_sales ORDER BY day;
-- partitions
SELECT kind, count(*) FROM event WHERE at >= '2023-12-01' GROUP BY kind ORDER BY kind;
-- one partition
SELECT * FROM event_2024 ORDER BY id;
-- only
SELECT count(*) FROM ONLY event;
-- composite type
SELECT id, (home).city, (c.home).zip, home FROM customer c WHERE (home).city = 'City 1' ORDER BY id;
-- whole row
SELECT c, c.* FROM category c ORDER BY c.id;
-- rows as values
SELECT ROW(id, title), (id, title) = (1, 'All'), ROW(1, 2)::text FROM category ORDER BY id;
-- enum
SELECT state, count(*) FROM orders WHERE state >= 'paid' AND state <> ALL ('{cancelled}'::status[]) GROUP BY state ORDER BY state;
-- enum functions
SELECT enum_range(NULL::status), enum_first(state), state::text FROM orders WHERE id = 1;
-- domain
SELECT id, mail FROM customer WHERE mail = 'c3@example.org';
-- ranges
SELECT id, during, lower(during), upper(during), isempty(seats) FROM booking WHERE during && tstzrange('2024-05-01 13:00+00', '2024-05-01 14:00+00') AND seats @> 7 ORDER BY id;
-- date ranges
SELECT id FROM product WHERE valid @> '2024-01-15'::date AND valid && daterange('2024-01-01', '2024-02-01', '[]') ORDER BY id;
-- range aggregates
SELECT range_agg(seats), range_intersect_agg(seats), int4multirange(int4range(1, 5)) FROM booking;
-- money
SELECT id, cost, cost * 2, cost::numeric, cost > '10'::money FROM product ORDER BY id;
-- numeric
SELECT sum(price * quantity)::numeric(12, 2), avg(price)::numeric(10, 4), round(sum(price) / nullif(count(*), 0), 2) FROM order_line;
-- uuid
SELECT id, uid FROM product WHERE uid = '00000000-0000-4000-8000-000000000007' OR uid::text LIKE '%0008';
-- bytea
SELECT id, image, encode(image, 'hex'), octet_length(image), get_byte(image, 0), sha256(image), '\x00'::bytea || image FROM product ORDER BY id;
-- inet
SELECT id, last_ip, host(last_ip), family(last_ip), network(last_ip), masklen(last_ip) FROM customer WHERE last_ip <<= '10.0.0.0/28'::inet AND last_ip > '10.0.0.3' ORDER BY id;
-- bits and xml
SELECT id, bi & B'0011', bi || B'1', bi::int, x::text FROM kinds WHERE id < 3 ORDER BY id;
-- collation
SELECT name FROM customer ORDER BY name COLLATE "C" DESC;
-- boolean tests
SELECT id, b IS TRUE, b IS NOT FALSE, b IS UNKNOWN, t IS NULL, i4 IS DISTINCT FROM 4, t IS NOT DISTINCT FROM 'text' FROM kinds ORDER BY id;
-- lists of aggregates in one query
SELECT (SELECT count(*) FROM customer) AS customers, (SELECT count(*) FROM orders) AS orders, (SELECT coalesce(sum(total), 0) FROM order_total) AS total;
-- trailing comment and semicolon
SELECT id /* app:shop,controller:orders */ FROM orders WHERE id < 4 ORDER BY id -- traceparent='00-1'
;
-- quoted identifiers
SELECT "c"."id" AS "Id", "c"."name" AS "Full Name" FROM "public"."customer" AS "c" WHERE "c"."active" = TRUE ORDER BY "c"."id" ASC;
-- keywords as names
SELECT name AS value, id AS key, country AS "order", active AS "user" FROM customer ORDER BY id;
-- every common type
SELECT * FROM kinds ORDER BY id;

-- django list
SELECT "customer"."id", "customer"."name", "customer"."mail" FROM "customer" WHERE ("customer"."active" AND UPPER("customer"."name"::text) LIKE UPPER('%cust%')) ORDER BY "customer"."created_at" DESC, "customer"."id" ASC LIMIT 21;
-- django exists
SELECT 1 AS "a" FROM "orders" WHERE ("orders"."customer_id" = 3 AND "orders"."state" IN ('new', 'paid')) LIMIT 1;
-- django count of subquery
SELECT COUNT(*) FROM (SELECT DISTINCT "orders"."customer_id" AS "col1" FROM "orders" INNER JOIN "customer" ON ("orders"."customer_id" = "customer"."id")) subquery;
-- django date lookups
SELECT DISTINCT DATE_TRUNC('month', "orders"."placed_at" AT TIME ZONE 'UTC') AS "datetimefield", (("orders"."placed_at" AT TIME ZONE 'UTC')::date) AS "d", EXTRACT(YEAR FROM "orders"."placed_at" AT TIME ZONE 'UTC') FROM "orders" WHERE "orders"."placed_at" BETWEEN '2024-01-01 00:00:00+00:00'::timestamptz AND '2024-12-31 23:59:59.999999+00:00'::timestamptz ORDER BY 1, 2;
-- django annotate
SELECT "customer"."id", COUNT("orders"."id") FILTER (WHERE "orders"."state" = 'paid') AS "paid", COALESCE(SUM("orders"."discount"), 0.0) AS "d" FROM "customer" LEFT OUTER JOIN "orders" ON ("customer"."id" = "orders"."customer_id") GROUP BY "customer"."id" ORDER BY 1;
-- sqlalchemy joined load
SELECT customer.id, customer.name, orders_1.id AS id_1, orders_1.state FROM customer LEFT OUTER JOIN orders AS orders_1 ON customer.id = orders_1.customer_id WHERE customer.id = $1::INTEGER;
-- <- [4]
-- sqlalchemy limit in subquery
SELECT anon_1.customer_id, anon_1.customer_name, orders_1.id FROM (SELECT customer.id AS customer_id, customer.name AS customer_name FROM customer ORDER BY customer.id LIMIT $1::INTEGER OFFSET $2::INTEGER) AS anon_1 LEFT OUTER JOIN orders AS orders_1 ON anon_1.customer_id = orders_1.customer_id ORDER BY anon_1.customer_id, orders_1.id;
-- <- [3, 1]
-- sqlalchemy select in load
SELECT orders.customer_id AS orders_customer_id, orders.id AS orders_id FROM orders WHERE orders.customer_id IN ($1::INTEGER, $2::INTEGER, $3::INTEGER) ORDER BY orders.id;
-- <- [1, 2, 3]
-- sqlalchemy varchar casts
SELECT product.id, product.title FROM product WHERE product.sku = $1::VARCHAR AND product.price > $2::NUMERIC(10, 2);
-- <- ["SKU-0007", 1.5]
-- activerecord find
SELECT "customer".* FROM "customer" WHERE "customer"."id" = $1 LIMIT $2;
-- <- [5, 1]
-- activerecord includes
SELECT "orders".* FROM "orders" WHERE "orders"."customer_id" IN ($1, $2, $3) ORDER BY "orders"."id" ASC;
-- <- [2, 3, 4]
-- activerecord exists
SELECT 1 AS one FROM "customer" WHERE "customer"."mail" = $1 AND "customer"."deleted_at" IS NULL LIMIT $2;
-- <- ["c2@example.org", 1]
-- activerecord pluck
SELECT "product"."id", "product"."title" FROM "product" WHERE "product"."id" >= 3 AND NOT ("product"."category_id" IS NULL) GROUP BY "product"."id" ORDER BY LOWER("product"."title") ASC NULLS FIRST LIMIT 10;
-- activerecord migrations
SELECT "schema_migrations"."version" FROM "schema_migrations" ORDER BY "schema_migrations"."version" ASC;
-- hibernate entity
select c1_0.id,c1_0.active,c1_0.country,c1_0.created_at,o1_0.customer_id,o1_0.id,o1_0.state from customer c1_0 left join orders o1_0 on c1_0.id=o1_0.customer_id where c1_0.id=$1;
-- <- [6]
-- hibernate page
select p1_0.id,p1_0.title from product p1_0 where lower(p1_0.title) like $1 escape '\' order by p1_0.title,p1_0.id offset $2 rows fetch first $3 rows only;
-- <- ["product 1%", 0, 5]
-- hibernate count
select count(o1_0.id) from orders o1_0 join customer c1_0 on c1_0.id=o1_0.customer_id where c1_0.country=$1 and (o1_0.note is null or o1_0.note like $2);
-- <- ["FI", "note%"]
-- prisma find many
SELECT "public"."customer"."id", "public"."customer"."name", "public"."customer"."profile" FROM "public"."customer" WHERE ("public"."customer"."active" = $1 AND "public"."customer"."name"::text ILIKE $2) ORDER BY "public"."customer"."id" ASC LIMIT $3 OFFSET $4;
-- <- [true, "%tomer%", 5, 0]
-- prisma join
SELECT "t1"."id", "t1"."name", "customer_orders"."__prisma_data__" AS "orders" FROM "public"."customer" AS "t1" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t3"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('id', "t2"."id", 'state', "t2"."state") AS "__prisma_data__" FROM (SELECT "t2".* FROM "public"."orders" AS "t2" WHERE "t1"."id" = "t2"."customer_id" ORDER BY "t2"."id") AS "t2") AS "t3") AS "t4") AS "customer_orders" ON TRUE WHERE "t1"."id" = $1 LIMIT $2;
-- <- [2, 1]
-- ecto join
SELECT c0."id", c0."name", o1."state" FROM "customer" AS c0 INNER JOIN "orders" AS o1 ON o1."customer_id" = c0."id" WHERE (o1."state" = $1) AND (c0."id" = ANY($2)) ORDER BY o1."id";
-- <- ["paid", [1, 2, 3, 4, 5, 6, 7, 8]]
-- ecto fragment
SELECT s0."day", count(*) FROM (SELECT date_trunc('day', so0."placed_at")::date AS "day" FROM "orders" AS so0) AS s0 GROUP BY s0."day" ORDER BY s0."day";
-- sqlx macro
SELECT id as "id!", name, tags as "tags: Vec<String>" FROM customer WHERE created_at >= $1 ORDER BY id;
-- <- ["2024-01-05T00:00:00+00:00"]
-- pgjdbc server side
SELECT id, title, price FROM product WHERE category_id = $1 AND price < $2 ORDER BY id;
-- <- [3, 60]
-- postgrest
WITH pgrst_source AS (SELECT "public"."customer"."id", "public"."customer"."name" FROM "public"."customer" WHERE "public"."customer"."id" = ANY ($1) ORDER BY "public"."customer"."id" LIMIT $2 OFFSET $3) SELECT null::bigint AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, coalesce(json_agg(_postgrest_t), '[]') AS body, nullif(current_setting('response.headers', true), '') AS response_headers, nullif(current_setting('response.status', true), '') AS response_status, '' AS response_inserted FROM (SELECT * FROM pgrst_source) _postgrest_t;
-- <- [[1, 2], 10, 0]
-- hasura
SELECT coalesce(json_agg("root"), '[]') AS "root" FROM (SELECT row_to_json((SELECT "_e" FROM (SELECT "_root.base"."id" AS "id", "_root.base"."name" AS "name") AS "_e")) AS "root" FROM (SELECT * FROM "public"."customer" WHERE (("public"."customer"."country") = (('FI')::bpchar)) ORDER BY "id" LIMIT 3) AS "_root.base") AS "_root";
-- parameter of each type
SELECT id FROM kinds WHERE b = $1 OR i2 = $2 OR i8 = $3 OR f8 = $4 OR n = $5 OR t = $6 OR u = $7 OR d = $8 OR tz = $9 OR jb = $10 ORDER BY id;
-- <- [true, 2, 8, 2.5, 12.34, "text", "00000000-0000-4000-8000-000000000001", "2024-02-29", "2024-02-29T12:34:56+00:00", {"a": 1}]

-- like any of a list
SELECT id, name FROM customer WHERE name ILIKE ANY (ARRAY['customer 1%', '%2']) ORDER BY id;
-- like any of a parameter
SELECT id FROM customer WHERE name LIKE ANY ($1) ORDER BY id;
-- <- [["Customer 1%", "%2"]]
-- like all of a literal
SELECT id FROM customer WHERE name NOT LIKE ALL ('{%1,%2}') AND name LIKE ALL (ARRAY['C%', '%r%']) ORDER BY id;
-- like some
SELECT id FROM product WHERE title ILIKE SOME (ARRAY['product 1', 'product 2']) ORDER BY id;
-- any of values
SELECT id FROM customer WHERE id = ANY (VALUES (1), (2)) AND id <> ALL (VALUES (2), (3)) ORDER BY id;
-- between symmetric
SELECT id FROM orders WHERE id BETWEEN SYMMETRIC 9 AND 3 AND id NOT BETWEEN SYMMETRIC 5 AND 4 ORDER BY id;
-- grouping of a text
SELECT country, grouping(country) AS total, count(*) AS n FROM customer GROUP BY ROLLUP (country) ORDER BY 2, 1;
-- composite literal
SELECT id, ('(Street 1,City 1,00001)'::address).city, home = ROW('Street 1', 'City 1', '00001')::address AS same, NULL::address IS NULL AS none FROM customer ORDER BY id;
-- escapes
SELECT id, E'caf\u00e9\t\x41' AS a, U&'caf\00e9' AS b FROM category ORDER BY id;
-- whole rows as json
SELECT row_to_json(x) FROM (SELECT id, title, price FROM product ORDER BY id) x;
-- rows of a table as json
SELECT to_jsonb(c) - 'profile' AS c FROM customer c ORDER BY c.id;
-- rows aggregated per parent
SELECT c.id, (SELECT coalesce(json_agg(row_to_json(o.*) ORDER BY o.id), '[]'::json) FROM orders o WHERE o.customer_id = c.id) AS orders FROM customer c ORDER BY c.id;
-- prisma joins
SELECT t1.id, t1_lines.__prisma_data__ AS lines FROM orders AS t1 LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG(__prisma_data__), '[]') AS __prisma_data__ FROM (SELECT t3.__prisma_data__ FROM (SELECT JSONB_BUILD_OBJECT('line', t2.line, 'quantity', t2.quantity) AS __prisma_data__ FROM (SELECT t0.* FROM order_line AS t0 WHERE t1.id = t0.order_id ORDER BY t0.line) AS t2) AS t3) AS t4) AS t1_lines ON TRUE ORDER BY t1.id;
-- superset table
SELECT DATE_TRUNC('week', placed_at) AS __timestamp, state, COUNT(*) AS n FROM public.orders WHERE placed_at >= TO_TIMESTAMP('2024-03-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY state, DATE_TRUNC('week', placed_at) ORDER BY 1, 2 LIMIT 1000;
-- grafana buckets
SELECT to_timestamp(floor(extract(epoch FROM placed_at) / 86400) * 86400) AT TIME ZONE 'UTC' AS time, percentile_cont(0.95) WITHIN GROUP (ORDER BY discount) AS p95 FROM orders GROUP BY 1 ORDER BY 1;
-- groupdate
SELECT (DATE_TRUNC('day', (placed_at::timestamptz - INTERVAL '0 second') AT TIME ZONE 'Etc/UTC') + INTERVAL '0 second') AT TIME ZONE 'Etc/UTC' AS day, COUNT(*) AS n FROM orders GROUP BY 1 ORDER BY 1;
-- clock in a function: clock
SELECT count(*) FROM orders WHERE placed_at > now() - interval '30 days';
-- clock in a keyword: clock
SELECT id FROM orders WHERE due < CURRENT_DATE ORDER BY id;
-- clock that may hide in text: clock
SELECT id FROM customer WHERE (profile->>'born')::date < '2024-01-01' ORDER BY id;
-- chance: volatile
SELECT id FROM product ORDER BY random() LIMIT 1;
-- who asks: session_state
SELECT id FROM customer WHERE name = current_setting('application_name');
-- lock: locks_rows
SELECT id FROM orders WHERE id = 1 FOR UPDATE;
-- no table: no_table
SELECT 1;
