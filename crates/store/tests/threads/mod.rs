//! Threads as those that serve clients.

use tokio::runtime::Handle;

/// Threads that serve clients, each with a runtime of its own, until they are dropped.
pub(crate) struct Threads(Vec<(Handle, tokio::sync::oneshot::Sender<()>)>);

impl Threads {
    pub(crate) fn start(count: usize) -> Self {
        let start = |_| {
            let (stop, stopped) = tokio::sync::oneshot::channel();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let handle = runtime.handle().clone();
            std::thread::spawn(move || runtime.block_on(stopped).ok());
            (handle, stop)
        };
        Self((0..count).map(start).collect())
    }

    pub(crate) fn first(&self) -> &Handle {
        &self.0.first().expect("there is one").0
    }

    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.0.iter().map(|(handle, _)| handle.clone()).collect()
    }
}
