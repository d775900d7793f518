//! The model against a real PostgreSQL.
//!
//! Not part of the ordinary tests: it needs `JUDGE`, the address of a server of version 15 that
//! trusts `postgres`, and drops the schema `public` of that role's database again and again.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::{
    message::{self, Message, show_server},
    model::{self, Server},
    script::{Script, script},
};

const SCHEMA: &str = "
drop schema if exists other cascade; drop schema public cascade; create schema public; create schema other;
create table public.t(id int primary key, v int); insert into public.t select i, i * 100 from generate_series(1, 3) i;
create table public.u(id int primary key, v int); insert into public.u select i, 1000 + i * 100 from generate_series(1, 3) i;
create table public.log(id int primary key, v int); insert into public.log select i, 2000 + i * 100 from generate_series(1, 3) i;
create table public.noise(id int primary key, v int); insert into public.noise select i, 3000 + i * 100 from generate_series(1, 3) i;
create table public.copied(id int, v int);
create table other.t(id int primary key, v int); insert into other.t select i, 5000 + i * 100 from generate_series(1, 3) i;
create function shout() returns bool language plpgsql as $$ begin raise notice 'it is noisy here'; return true; end $$;
create view public.noisy as select id, v from public.noise where (select shout()) order by id;
create function keep_count() returns trigger language plpgsql as $$ begin update public.log set v = v + 1 where id = 1; return new; end $$;
create trigger keep_count after update on public.t for each row execute function keep_count();
";

struct Real(TcpStream);

impl Real {
    fn new() -> Self {
        let stream = TcpStream::connect(std::env::var("JUDGE").unwrap()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(3)))
            .unwrap();
        let mut real = Self(stream);
        let mut body = BytesMut::new();
        body.put_u32(196_608);
        for text in [
            "user",
            "postgres",
            "TimeZone",
            "UTC",
            "search_path",
            "public",
        ] {
            message::cstr(&mut body, text);
        }
        body.put_u8(0);
        let mut frame = BytesMut::new();
        frame.put_u32(u32::try_from(body.len() + 4).unwrap());
        frame.put_slice(&body);
        real.0.write_all(&frame).unwrap();
        real.read(1);
        real
    }

    fn read(&mut self, readies: usize) -> Vec<String> {
        let mut all = BytesMut::new();
        let mut buffer = [0; 65536];
        loop {
            let shown = show_server(&all);
            let seen = shown
                .iter()
                .filter(|it| it.starts_with("ReadyForQuery"))
                .count();
            if seen >= readies {
                return shown;
            }
            match self.0.read(&mut buffer) {
                Ok(0) | Err(_) => return shown,
                Ok(count) => all.put_slice(&buffer[..count]),
            }
        }
    }

    fn send(&mut self, messages: &[Message]) {
        let mut bytes = BytesMut::new();
        messages.iter().for_each(|message| message.put(&mut bytes));
        self.0.write_all(&bytes).unwrap();
    }
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

fn check(script: &Script) {
    let mut setup = Real::new();
    setup.send(&[Message::Query(SCHEMA.to_owned())]);
    setup.read(1);
    let mut real = Real::new();
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
        real.send(&burst);
        let readies = expected
            .iter()
            .filter(|it| it.starts_with("ReadyForQuery"))
            .count();
        let found = real.read(readies);
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

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    })]

    #[test]
    #[ignore = "needs a PostgreSQL of its own"]
    fn the_model_does_as_postgresql_does(script in script()) {
        check(&script);
    }
}
