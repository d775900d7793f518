-- Changes of definitions, one a line, in this order: each succeeds.

-- Tables and what belongs to them.
CREATE TABLE city (id int PRIMARY KEY, name text)
CREATE TABLE person (id int PRIMARY KEY, city int REFERENCES city, name text DEFAULT 'x')
ALTER TABLE person ADD COLUMN age int
ALTER TABLE person RENAME COLUMN age TO years
ALTER TABLE person ALTER COLUMN years TYPE bigint
ALTER TABLE person DROP COLUMN years
ALTER TABLE city RENAME TO town; ALTER TABLE person RENAME TO city; ALTER TABLE town RENAME TO person
ALTER TABLE person RENAME TO town; ALTER TABLE city RENAME TO person; ALTER TABLE town RENAME TO city
ALTER TABLE person DROP CONSTRAINT person_city_fkey, ADD FOREIGN KEY (city) REFERENCES city ON DELETE CASCADE
ALTER TABLE city ADD UNIQUE (name)
ALTER TABLE city DROP CONSTRAINT city_name_key
ALTER TABLE person DROP CONSTRAINT person_pkey
CREATE UNIQUE INDEX person_id ON person (id)
ALTER TABLE person ADD PRIMARY KEY USING INDEX person_id
CREATE TABLE event (id int, at date) PARTITION BY RANGE (at)
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')
ALTER TABLE event DETACH PARTITION event_1
CREATE TABLE heir () INHERITS (city)
ALTER TABLE heir NO INHERIT city
ALTER TABLE heir SET UNLOGGED
ALTER TABLE heir OWNER TO scram
ALTER TABLE heir SET LOGGED
CREATE SEQUENCE numbers
DROP SEQUENCE numbers
CREATE SCHEMA near; CREATE TABLE near.other (id int)
CREATE INDEX city ON near.other (id)
ALTER INDEX near.city RENAME TO person
ALTER INDEX near.person RENAME TO nobody
ALTER INDEX near.nobody RENAME TO heir; ALTER TABLE heir RENAME TO heir2
ALTER TABLE heir2 RENAME TO heir
ALTER TABLE near.other ADD CONSTRAINT event UNIQUE (id)
DROP SCHEMA near CASCADE

-- Functions, and where they run without being named.
CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'
CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + 1; END'
ALTER FUNCTION f STABLE
ALTER FUNCTION f IMMUTABLE SECURITY DEFINER SET search_path = public
CREATE INDEX computed ON city (f(id))
DROP INDEX computed
CREATE INDEX partial ON city (name) WHERE f(id) > 0
DROP INDEX partial
ALTER TABLE city ADD CHECK (f(id) > 0)
ALTER TABLE city ALTER COLUMN name SET DEFAULT f(1)::text
ALTER TABLE city ADD COLUMN twice int GENERATED ALWAYS AS (f(id)) STORED
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
CREATE TRIGGER tr BEFORE INSERT ON city FOR EACH ROW WHEN (f(NEW.id) > 0) EXECUTE FUNCTION t()
ALTER TABLE city DISABLE TRIGGER tr
ALTER TRIGGER tr ON city RENAME TO tr2
DROP TRIGGER tr2 ON city
CREATE RULE r AS ON INSERT TO heir DO ALSO NOTIFY x
ALTER RULE r ON heir RENAME TO r2
DROP RULE r2 ON heir
CREATE FUNCTION s(int) RETURNS int STABLE LANGUAGE sql RETURN (SELECT count(*) FROM city WHERE id = $1)::int
CREATE FUNCTION d(int DEFAULT f(2)) RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE FUNCTION many(VARIADIC int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, FINALFUNC = f)
ALTER FUNCTION f(int) RENAME TO g
ALTER FUNCTION g(int) RENAME TO f
CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)
CREATE OPERATOR ~~~ (FUNCTION = f, RIGHTARG = int)
DROP OPERATOR === (int, int)
CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'
CREATE EVENT TRIGGER ev ON ddl_command_end WHEN TAG IN ('CREATE CAST') EXECUTE FUNCTION e()
ALTER EVENT TRIGGER ev DISABLE
DROP EVENT TRIGGER ev

-- Types and casts.
CREATE TYPE mood AS ENUM ('ok')
ALTER TYPE mood ADD VALUE 'fine'
CREATE DOMAIN short AS text CHECK (length(VALUE) < 10)
CREATE DOMAIN checked AS int CHECK (f(VALUE) > 0)
ALTER DOMAIN short DROP CONSTRAINT short_check
ALTER DOMAIN checked ADD CONSTRAINT again CHECK (f(VALUE) > 1)
CREATE TYPE pair AS (a int, b text)
ALTER TYPE pair RENAME ATTRIBUTE a TO c
ALTER TYPE pair ADD ATTRIBUTE d date
CREATE TYPE span AS RANGE (subtype = date)
CREATE FUNCTION cast_mood(mood) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'
CREATE CAST (mood AS int) WITH FUNCTION cast_mood(mood)
DROP CAST (mood AS int)
CREATE CAST (mood AS int) WITH FUNCTION cast_mood(mood) AS IMPLICIT
CREATE CAST (mood AS text) WITH INOUT AS IMPLICIT
ALTER TYPE mood RENAME TO feeling

-- Views and policies.
CREATE VIEW v AS SELECT id, name, f(id) AS computed FROM city
ALTER VIEW v SET (security_invoker = true)
ALTER VIEW v RESET (security_invoker)
CREATE OR REPLACE VIEW v AS SELECT id, name, f(id) AS computed, 1 AS one FROM city
CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM v
ALTER TABLE city RENAME COLUMN name TO label
ALTER VIEW v RENAME COLUMN name TO label
ALTER TABLE city ENABLE ROW LEVEL SECURITY
ALTER TABLE city FORCE ROW LEVEL SECURITY
CREATE POLICY mine ON city USING (id IN (SELECT id FROM person))
ALTER POLICY mine ON city USING (f(id) > 0)
ALTER POLICY mine ON city TO scram
DROP POLICY mine ON city
ALTER TABLE city NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY

-- Schemas, roles, privileges, databases.
CREATE SCHEMA app
GRANT USAGE ON SCHEMA app TO scram
GRANT USAGE ON SCHEMA app TO clear; REVOKE USAGE ON SCHEMA app FROM scram
GRANT USAGE ON SCHEMA app TO PUBLIC
REVOKE ALL ON SCHEMA public FROM PUBLIC
ALTER SCHEMA app OWNER TO scram
ALTER SCHEMA app RENAME TO application
ALTER TABLE heir SET SCHEMA application
ALTER FUNCTION t() SET SCHEMA application
GRANT SELECT ON city TO scram
GRANT SELECT (id) ON city TO clear
CREATE ROLE staff
GRANT staff TO scram
ALTER ROLE scram NOINHERIT
REVOKE staff FROM scram
GRANT pg_read_all_data TO clear
ALTER ROLE staff BYPASSRLS
ALTER ROLE staff SUPERUSER
ALTER ROLE staff RENAME TO crew
ALTER ROLE crew SET search_path = application
ALTER ROLE scram INHERIT
DROP ROLE crew
CREATE DATABASE another
ALTER DATABASE another RENAME TO other_name
ALTER DATABASE postgres OWNER TO scram
ALTER DATABASE postgres OWNER TO postgres
ALTER DATABASE postgres SET work_mem = '5MB'
DROP DATABASE other_name

-- Extensions and languages.
CREATE EXTENSION pg_trgm
CREATE EXTENSION hstore SCHEMA application
ALTER EXTENSION hstore SET SCHEMA public
ALTER EXTENSION pg_trgm ADD FUNCTION f(int)
ALTER EXTENSION pg_trgm DROP FUNCTION f(int)
ALTER EXTENSION pg_trgm ADD TABLE person
ALTER EXTENSION pg_trgm DROP TABLE person
ALTER EXTENSION pg_trgm ADD ACCESS METHOD heap
ALTER EXTENSION pg_trgm DROP ACCESS METHOD heap
CREATE EXTENSION bloom
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler
DROP ACCESS METHOD heap2
CREATE EXTENSION postgres_fdw
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
CREATE FOREIGN TABLE abroad (id int) SERVER far
ALTER SERVER far RENAME TO near
ALTER LANGUAGE plpgsql RENAME TO plpgsql2
ALTER LANGUAGE plpgsql2 RENAME TO plpgsql

-- What came with initdb.
ALTER FUNCTION pg_catalog.lower(text) VOLATILE
ALTER FUNCTION pg_catalog.lower(text) IMMUTABLE
ALTER FUNCTION pg_catalog.upper(text) SET work_mem = '1MB'
ALTER FUNCTION pg_catalog.upper(text) SECURITY DEFINER
ALTER FUNCTION pg_catalog.initcap(text) RENAME TO initcap2
ALTER FUNCTION pg_catalog.initcap2(text) RENAME TO initcap
ALTER FUNCTION pg_catalog.initcap(text) SET SCHEMA application
ALTER FUNCTION application.initcap(text) SET SCHEMA pg_catalog
ALTER FUNCTION pg_catalog.radians(float8) RENAME TO tmp; ALTER FUNCTION pg_catalog.degrees(float8) RENAME TO radians; ALTER FUNCTION pg_catalog.tmp(float8) RENAME TO degrees
REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(float8) FROM PUBLIC
CREATE OR REPLACE FUNCTION pg_catalog.xpath_exists(text, xml) RETURNS bool LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT true'
CREATE FUNCTION pg_catalog.mine(int) RETURNS int LANGUAGE sql AS 'SELECT 1'
DROP FUNCTION pg_catalog.mine
ALTER EXTENSION plpgsql ADD FUNCTION pg_catalog.lower(text)
ALTER EXTENSION plpgsql DROP FUNCTION pg_catalog.lower(text)
ALTER EXTENSION plpgsql DROP FUNCTION pg_catalog.plpgsql_call_handler()
ALTER EXTENSION plpgsql ADD FUNCTION pg_catalog.plpgsql_call_handler()
ALTER TYPE pg_catalog.point RENAME TO spot
ALTER TYPE pg_catalog.spot RENAME TO point
ALTER TYPE pg_catalog.circle SET SCHEMA application
ALTER TYPE application.circle SET SCHEMA pg_catalog
ALTER DOMAIN information_schema.cardinal_number DROP CONSTRAINT cardinal_number_domain_check
ALTER DOMAIN information_schema.cardinal_number ADD CHECK (f(VALUE) > 0)
GRANT SELECT ON pg_catalog.pg_class TO scram
ALTER SCHEMA information_schema RENAME TO information
ALTER SCHEMA information RENAME TO information_schema
CREATE OR REPLACE VIEW information_schema.information_schema_catalog_name AS SELECT CAST('x' AS information_schema.sql_identifier) AS catalog_name
ALTER VIEW information_schema.tables RENAME TO tables2
ALTER VIEW information_schema.tables2 RENAME TO tables
DROP VIEW information_schema.enabled_roles CASCADE
ALTER VIEW information_schema.tables SET (security_invoker = true)
ALTER VIEW information_schema.tables OWNER TO scram
CREATE RULE more AS ON INSERT TO information_schema.sql_features DO ALSO NOTIFY x
ALTER TABLE information_schema.sql_features ENABLE ROW LEVEL SECURITY
CREATE POLICY few ON information_schema.sql_features USING (f(1) > 0)
CREATE TRIGGER tr AFTER INSERT ON information_schema.sql_features EXECUTE FUNCTION application.t()
UPDATE pg_catalog.pg_proc SET provolatile = 'v' WHERE proname = 'textlen'
UPDATE pg_catalog.pg_range SET rngsubtype = 'text'::regtype WHERE rngtypid = 'numrange'::regtype
UPDATE pg_catalog.pg_type SET typcategory = 'S' WHERE typname = 'macaddr'
VACUUM FULL pg_catalog.pg_proc
VACUUM FULL pg_catalog.pg_type
VACUUM FREEZE
REINDEX TABLE pg_catalog.pg_proc

-- The end of all this.
DROP EXTENSION pg_trgm
DROP SCHEMA application CASCADE
DROP FUNCTION f(int) CASCADE
DROP OWNED BY scram
DROP TABLE city, person, event, event_1 CASCADE
DROP TYPE feeling, pair, span CASCADE
DROP EXTENSION plpgsql CASCADE
