//! COPY.

use bytes::BufMut;

use super::{Outcome, Server, fault};
use crate::tests::message::Fields;

impl Server {
    pub(super) fn copy_out(&mut self, table: &str) -> Outcome<String> {
        let (table, _) = self.resolve(table)?;
        self.send(b'H', |body| body.put_slice(&[0, 0, 2, 0, 0, 0, 0]));
        let mut lines = 0;
        for ((owner, id), value) in self.visible() {
            if owner == table {
                lines += 1;
                self.send(b'd', |body| {
                    body.put_slice(format!("{id}\t{value}\n").as_bytes());
                });
            }
        }
        self.send(b'c', |_| ());
        Ok(format!("COPY {lines}"))
    }

    pub(super) fn copying(&mut self, tag: u8, body: &[u8]) {
        let copy = self.copy.as_mut().expect("copy data is taken");
        let simple = copy.simple;
        let end = match tag {
            b'H' | b'S' => return,
            b'd' if body.first().is_some_and(u8::is_ascii_digit) => {
                copy.lines += 1;
                return;
            }
            b'd' => fault("22P02", "invalid input syntax for type integer: \"x\""),
            b'c' => {
                let (table, lines) = (copy.table, copy.lines);
                if simple {
                    self.portals.remove("");
                }
                self.write(table, 7, lines);
                self.complete(&format!("COPY {lines}"));
                Ok(())
            }
            b'f' => {
                let text = Fields(body).text();
                fault("57014", format!("COPY from stdin failed: {text}"))
            }
            _ => {
                self.say(b'E', "FATAL", "08P01", "unexpected message during COPY");
                return self.close();
            }
        };
        self.copy = None;
        match end {
            Ok(()) => self.pipelining = !simple,
            Err(fault) => {
                self.fail(&fault);
                self.skipping = !simple;
            }
        }
        if simple {
            self.finish();
            self.ready();
        }
    }
}
