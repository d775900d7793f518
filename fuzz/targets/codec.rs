//! Framing, and every reader of a message.
//!
//! Laws: messages do not depend on how the bytes arrive; a reader borrows from its frame and
//! refuses or consumes all of it; what was read and is written again is what was there.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::{
    FrameError, HEADER, MESSAGE_MAX, backend,
    frontend::{self, Bind, Parse},
};

fuzz_target!(|input: &[u8]| {
    let Some((&step, bytes)) = input.split_first() else {
        return;
    };
    let step = usize::from(step % 17) + 1;
    let (whole, error) = cut(bytes, bytes.len().max(1));
    assert_eq!(cut(bytes, step), (whole.clone(), error));
    for frame in &whole {
        client_message(frame);
        server_message(frame);
    }
    // Bytes that no framing has looked at.
    client_message(bytes);
    server_message(bytes);
});

/// Cuts bytes that arrive `step` at a time into messages, and says why it stopped.
fn cut(bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let (mut messages, mut buffer) = (Vec::new(), BytesMut::new());
    for chunk in bytes.chunks(step) {
        buffer.extend_from_slice(chunk);
        loop {
            match wire::header(&buffer) {
                Ok(Some(header)) => {
                    assert_eq!(Some(&header.tag), buffer.first());
                    assert!((HEADER..=MESSAGE_MAX as usize + 1).contains(&header.total));
                    if buffer.len() < header.total {
                        break;
                    }
                    messages.push(buffer.split_to(header.total).to_vec());
                }
                Ok(None) => {
                    assert!(buffer.len() < HEADER);
                    break;
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    return (messages, Some(error));
                }
            }
        }
    }
    (messages, None)
}

fn client_message(frame: &[u8]) {
    let body = frame.get(HEADER..).unwrap_or_default();
    if let Ok(text) = frontend::query(frame) {
        check(body, |out| frontend::put_query(out, text));
    }
    if let Ok(Parse { name, text, types }) = Parse::read(frame) {
        assert_eq!(types.len() % 4, 0);
        let count = u16::try_from(types.len() / 4).expect("a Parse counts in 16 bits");
        let counted = [&count.to_be_bytes()[..], types].concat();
        check(body, |out| {
            frontend::put_parse_typed(out, name, text, &counted);
        });
    }
    if let Ok((target, name)) = frontend::target(frame) {
        check(body, |out| frontend::put_describe(out, target, name));
        check(body, |out| frontend::put_close(out, target, name));
    }
    if let Ok((portal, 0)) = frontend::execute(frame) {
        check(body, |out| frontend::put_execute(out, portal));
    }
    let names = Bind::names(frame);
    if let Ok(bind) = Bind::read(frame) {
        assert_eq!(names, Ok((bind.portal, bind.statement)));
        let head = bind.portal.len() + bind.statement.len() + 2;
        assert_eq!(body.get(head..), Some(bind.arguments));
        assert!(bind.values().count() <= usize::from(bind.parameters()));
        let bytes: usize = bind.values().map(<[u8]>::len).sum();
        assert!(bytes <= bind.arguments.len());
        assert!(bind.arguments.ends_with(bind.result_formats));
    }
}

/// What is written has the body that was read.
fn check(body: &[u8], write: impl FnOnce(&mut BytesMut)) {
    let mut out = BytesMut::new();
    write(&mut out);
    let header = wire::header(&out).expect("we write a proper length");
    assert_eq!(header.map(|header| header.total), Some(out.len()));
    assert_eq!(out.get(HEADER..), Some(body));
}

fn server_message(frame: &[u8]) {
    let body = frame.get(HEADER..).unwrap_or_default();
    if let Ok(status) = backend::read_ready(frame) {
        assert_eq!(backend::ready(status).get(HEADER..), Some(body));
    }
    if let Ok(tag) = backend::command_tag(frame) {
        check(body, |out| backend::put_command_complete(out, tag));
    }
    if let Ok((name, value)) = backend::parameter_status(frame) {
        assert_eq!(name.len() + value.len() + 2, body.len());
    }
    if let Some(code) = backend::sqlstate(frame) {
        assert!(code.len() < body.len());
    }
    if let Ok(columns) = backend::columns(frame) {
        let bytes: usize = columns.iter().flatten().map(|value| value.len()).sum();
        assert_eq!(bytes + 2 + 4 * columns.len(), body.len());
    }
    for formats in [&[][..], &[0, 1], &[0, 0, 0, 1], &[0, 1, 0]] {
        let Ok(laid) = backend::with_formats(frame, formats) else {
            continue;
        };
        assert_eq!(laid.len(), frame.len());
        let again = backend::with_formats(&laid, formats).expect("it has the form it had");
        assert_eq!(again, laid);
        let back = backend::with_formats(&laid, &[]).expect("it has the form it had");
        assert_eq!(back, backend::with_formats(frame, &[]).expect("as before"));
    }
}
