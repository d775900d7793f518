CREATE TABLE t (id int PRIMARY KEY, v text, n int);
INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20), (5, 'e', 50);
CREATE TABLE k (a int, b text, c uuid, v text, PRIMARY KEY (a, b));
INSERT INTO k VALUES
    (1, 'x', '00000000-0000-0000-0000-000000000001', 'one'),
    (1, 'y', '00000000-0000-0000-0000-000000000002', 'two'),
    (2, 'x', '00000000-0000-0000-0000-000000000003', 'three');
CREATE TABLE u (id int PRIMARY KEY, tid int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE, w text);
INSERT INTO u VALUES (1, 1, 'x'), (2, 2, 'y');
CREATE TABLE e (id int PRIMARY KEY, at timestamptz, d date, i interval, f float8, b bytea, m money);
INSERT INTO e VALUES (1, '2024-01-01 20:00+00', '2024-02-01', '1 day 02:03:04', 0.1 + 0.2, '\xdead', 5);
CREATE TABLE log (n int, what text);
GRANT ALL ON t, k, u, e, log TO PUBLIC;
-- What nobody changes: a hit on it proves that definitions are known again.
CREATE TABLE settled (id int);
