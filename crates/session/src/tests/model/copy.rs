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
                copy.taken |= body.first() == Some(&b'8');
                return;
            }
            b'd' => fault("22P02", "invalid input syntax for type integer: \"x\""),
            // Rows are put into their table, and its indexes, several at a time.
            b'c' if copy.taken => fault("23505", "duplicate key value"),
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
                let text = format!("unexpected message type 0x{tag:02X} during COPY from stdin");
                self.say(b'E', "ERROR", "08P01", &text);
                let text = "terminating connection because protocol synchronization was lost";
                self.say(b'E', "FATAL", "08P01", text);
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
