//! The model against a real PostgreSQL: what it says, the server says.

use bytes::{BufMut, BytesMut};
use pgmemo_tests::{
    Postgres, Version,
    postgres::Database,
    wire::{Conn, Login},
};
use proptest::prelude::*;

use super::{
    message::{Message, show_server},
    model::{self, Server},
    script::{Script, script},
};

/// Each makes a schema anew.
const CASES: u32 = 64;

const SCHEMA: &str = "
drop schema if exists other cascade; drop schema public cascade; create schema public; create schema other;
create table public.t(id int primary key, v int); insert into public.t select i, i * 100 from generate_series(1, 3) i;
create table public.u(id int primary key, v int); insert into public.u select i, 1000 + i * 100 from generate_series(1, 3) i;
create table public.log(id int primary key, v int); insert into public.log select i, 2000 + i * 100 from generate_series(1, 3) i;
create table public.noise(id int primary key, v int); insert into public.noise select i, 3000 + i * 100 from generate_series(1, 3) i;
create table public.copied(id int, v int); create unique index on public.copied (id) where id = 8;
create table other.t(id int primary key, v int); insert into other.t select i, 5000 + i * 100 from generate_series(1, 3) i;
create function shout() returns bool language plpgsql as $$ begin raise notice 'it is noisy here'; return true; end $$;
create view public.noisy as select id, v from public.noise where (select shout()) order by id;
create function keep_count() returns trigger language plpgsql as $$ begin update public.log set v = v + 1 where id = 1; return new; end $$;
create trigger keep_count after update on public.t for each row execute function keep_count();
";

fn connect(database: &Database) -> Conn {
    let login = Login::to(database.name())
        .with("TimeZone", "UTC")
        .with("search_path", "public");
    Conn::connect(database.address(), &login).unwrap()
}

fn send(conn: &mut Conn, messages: &[Message]) {
    let mut bytes = BytesMut::new();
    messages.iter().for_each(|message| message.put(&mut bytes));
    conn.send(&bytes).unwrap();
}

/// What comes up to so many ReadyForQuery, or the end.
fn read(conn: &mut Conn, mut readies: usize) -> Vec<String> {
    let mut all = BytesMut::new();
    while readies > 0
        && let Some(message) = conn.try_read().unwrap()
    {
        readies -= usize::from(message.tag == b'Z');
        all.put_u8(message.tag);
        all.put_u32(u32::try_from(message.body.len() + 4).unwrap());
        all.put_slice(&message.body);
    }
    show_server(&all)
}

/// Without what the model does not claim: identities of tables, wording of errors.
fn plain(shown: Vec<String>) -> Vec<String> {
    let shown = shown.into_iter().map(|text| {
        if text.starts_with("ErrorResponse") || text.starts_with("NoticeResponse") {
            text.split(' ').take(2).collect::<Vec<_>>().join(" ")
        } else if text.starts_with("RowDescription") {
            let words = text.split(' ').map(|word| match word.split_once('@') {
                Some((name, rest)) => {
                    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
                    format!("{name}{rest}")
                }
                None => word.to_owned(),
            });
            words.collect::<Vec<_>>().join(" ")
        } else {
            text
        }
    });
    shown.collect()
}

fn check(postgres: &Database, script: &Script) {
    connect(postgres).run(SCHEMA).unwrap();
    let mut real = connect(postgres);
    let database = model::database();
    let mut server = Server::new(&database);
    let (mut burst, mut expected) = (Vec::new(), Vec::new());
    for messages in &script.0 {
        burst.extend_from_slice(messages);
        let mut bytes = BytesMut::new();
        messages.iter().for_each(|message| message.put(&mut bytes));
        server.receive(&bytes);
        expected.extend(show_server(&server.take(usize::MAX)));
        let ready = |shown: &String| shown.starts_with("ReadyForQuery");
        if !expected.last().is_some_and(ready) {
            continue;
        }
        send(&mut real, &burst);
        let readies = expected
            .iter()
            .filter(|it| it.starts_with("ReadyForQuery"))
            .count();
        let found = read(&mut real, readies);
        let (found, expected) = (plain(found), plain(std::mem::take(&mut expected)));
        let same = found
            .iter()
            .zip(&expected)
            .take_while(|(a, b)| a == b)
            .count();
        let from = same.saturating_sub(2);
        assert_eq!(found[from..], expected[from..], "real, model at {burst:?}");
        burst.clear();
    }
}

#[test]
fn the_model_does_as_postgresql_does() {
    // It is a model of this version.
    let database = Postgres::shared(Version::System).database().unwrap();
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    };
    proptest!(config, |(script in script())| check(&database, &script));
}
