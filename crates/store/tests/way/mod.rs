//! A way to a server that takes its time, or does not lead there for a while, or leads elsewhere.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Passes everything on. Ends with the runtime.
pub(crate) struct Way {
    port: u16,
    /// How many connections there have been.
    count: Arc<AtomicUsize>,
    state: watch::Sender<State>,
}

#[derive(Clone)]
struct State {
    /// How long everything takes in each direction; `None` while nothing arrives.
    takes: Option<Duration>,
    /// The port to which new connections lead.
    leads: u16,
    /// Connections on which nothing arrives any more, by their number, and those that are ended.
    lost: std::ops::Range<usize>,
    ended: usize,
}

impl Way {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = Arc::new(AtomicUsize::new(0));
        let (state, seen) = watch::channel(State {
            takes: Some(Duration::ZERO),
            leads: server,
            lost: 0..0,
            ended: 0,
        });
        let accepted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = accepted.fetch_add(1, Ordering::SeqCst);
                let leads = seen.borrow().leads;
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, leads));
                let (reader, writer) = client.into_split();
                let (answers, questions) = server.await.unwrap().into_split();
                tokio::spawn(pass(reader, questions, number, seen.clone()));
                tokio::spawn(pass(answers, writer, number, seen.clone()));
            }
        });
        Self { port, count, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How long question and answer take together from now on.
    pub(crate) fn takes(&self, both: Duration) {
        self.state.send_modify(|state| state.takes = Some(both / 2));
    }

    /// Holds everything back from now on; connections stay.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.takes = None);
    }

    /// Delivers everything, also what was held back.
    pub(crate) fn mend(&self) {
        self.takes(Duration::ZERO);
    }

    /// Where connections lead that are made from now on.
    pub(crate) fn lead_to(&self, server: u16) {
        self.state.send_modify(|state| state.leads = server);
    }

    /// How many connections there have been.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Holds everything back, for good, on the connections made since there were so many.
    pub(crate) fn lose_since(&self, count: usize) {
        let lost = count..self.count();
        self.state.send_modify(|state| state.lost = lost);
    }

    /// Ends the connections there are.
    pub(crate) fn hang_up(&self) {
        let count = self.count();
        self.state.send_modify(|state| state.ended = count);
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: usize,
    state: watch::Receiver<State>,
) {
    let mut ends = state.clone();
    let ended = ends.wait_for(|state| number < state.ended);
    tokio::select! {
        _ = ended => {}
        () = pass_on(&mut from, &mut to, number, state) => {}
    }
}

async fn pass_on(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    number: usize,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let open = |state: &State| state.takes.is_some() && !state.lost.contains(&number);
        let time = state.wait_for(open).await.map(|state| state.takes);
        let Ok(Some(time)) = time else { break };
        tokio::time::sleep(time).await;
        let Some(bytes) = buffer.get(..count) else {
            break;
        };
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
}
