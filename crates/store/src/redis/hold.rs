//! Marks: what this instance is writing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cache::{Scope, Version};
use catalog::DatabaseId;

use super::{
    debts::Fence,
    names::Token,
    shared::{Shared, Told},
    version::Operation,
};

/// Scopes of one mark, sorted, each once.
pub(super) type Scopes = Arc<[Scope]>;

/// A mark that has been sent. Dropped, its bump is owed.
#[derive(Debug)]
pub(crate) struct Hold {
    shared: Arc<Shared>,
    mark: Token,
    scopes: Scopes,
    /// The mark did not arrive: others may not know, so at least we serve nothing.
    fence: Option<Fence>,
    ended: bool,
}

impl Hold {
    /// Sends a mark. Whatever becomes of it, what is returned ends it.
    ///
    /// Not cancel safe: cancelled, the mark ends as a bump in the background.
    pub(super) async fn new(shared: Arc<Shared>, scopes: &[Scope]) -> Self {
        let mut hold = Self::begin(shared, scopes);
        let told = hold.tell(Operation::Mark).await;
        if !told.is_some_and(|told| told.all) {
            hold.fence = Some(hold.shared.debts.fence());
            // What is being served at this moment was looked up before the fence.
            hold.forget();
        }
        hold
    }

    /// Ends a mark that was never set: a change was seen that nobody had announced.
    ///
    /// Cancel safe: cancelled, the bump is owed.
    pub(super) async fn outdate(shared: Arc<Shared>, scopes: &[Scope]) {
        let mut hold = Self::begin(shared, scopes);
        let (mark, operation) = (hold.mark, Operation::Bump);
        hold.ended = hold
            .shared
            .tell(operation, &mark, &hold.scopes, false)
            .await
            .is_ok();
        hold.touch();
    }

    fn begin(shared: Arc<Shared>, scopes: &[Scope]) -> Self {
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        let scopes: Scopes = scopes.into();
        let mark = shared.dice.token();
        shared.held.insert(mark, Arc::clone(&scopes));
        Self {
            shared,
            mark,
            scopes,
            fence: None,
            ended: false,
        }
    }

    /// Ends it with new versions. Cancel safe: cancelled, the bump is owed.
    pub(crate) async fn bump(self) {
        self.bump_and_see(None).await;
    }

    /// The same; then says what the epoch of a database is, nothing while it is being written.
    pub(crate) async fn bump_and_see(
        mut self,
        database: Option<DatabaseId>,
    ) -> Option<Option<Version>> {
        // While a bump is owed, another one may be that of the epoch.
        let certain = !self.shared.debts.any();
        let told = self.tell(Operation::Bump).await;
        self.ended = told.is_some();
        let alone = |id| self.scopes.iter().all(|scope| scope.database() == id);
        told?
            .epoch
            .filter(|_| certain && database.is_some_and(alone))
    }

    /// Ends it without.
    ///
    /// If that does not arrive, the lease ends in new versions, which costs misses and no more.
    /// Not cancel safe: cancelled, it ends as a bump.
    pub(crate) async fn clear(mut self) {
        self.shared.held.remove(&self.mark);
        self.tell(Operation::Clear).await;
        self.ended = true;
    }

    /// What became of an operation, which is in effect then; `None` if it is not known to have
    /// arrived.
    async fn tell(&self, operation: Operation) -> Option<Told> {
        // While a mark stands, nobody serves what it is on, so its end may come late. One that did
        // not arrive warns nobody.
        let heard = match operation {
            Operation::Mark => true,
            Operation::Bump => self.fence.is_some(),
            Operation::Clear | Operation::Look | Operation::Renew => false,
        };
        let told = self
            .shared
            .tell(operation, &self.mark, &self.scopes, heard)
            .await;
        if operation != Operation::Clear {
            // Only now: what was looked up before the operation may have been kept meanwhile.
            self.touch();
        }
        let mut told = told.ok()?;
        for (database, wait) in told.waits.drain(..) {
            self.shared.await_effect(&database, wait).await;
        }
        Some(told)
    }

    /// Forgets what is kept here and depends on the scopes.
    fn touch(&self) {
        self.shared.touch(&self.scopes);
    }

    /// Forgets all that is kept here of the databases of the scopes.
    fn forget(&self) {
        for scope in self.scopes.iter() {
            self.shared.database(scope.database()).ward.forget();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.held.remove(&self.mark);
        if !self.ended {
            self.shared.owe(self.mark, &self.scopes);
            // Behind the fence: what was asked for before it is not kept.
            self.touch();
        }
    }
}

impl Shared {
    /// Forgets what is kept here and depends on scopes, which are sorted.
    pub(super) fn touch(&self, scopes: &[Scope]) {
        let Some(near) = &self.near else { return };
        for scopes in scopes.chunk_by(|a, b| a.database() == b.database()) {
            let database = scopes.first().map(|scope| scope.database());
            if let Some(database) = database.map(|id| self.database(id)) {
                near.touch(&database, scopes.iter().copied());
            }
        }
    }
}

/// All marks that have not ended, to be renewed.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<Token, (Scopes, Instant)>>);

impl Held {
    fn insert(&self, mark: Token, scopes: Scopes) {
        self.marks().insert(mark, (scopes, Instant::now()));
    }

    fn remove(&self, mark: &Token) {
        self.marks().remove(mark);
    }

    /// Whether a mark has not ended.
    pub(super) fn contains(&self, mark: &Token) -> bool {
        self.marks().contains_key(mark)
    }

    /// Those that were sent or renewed longer ago than `age`.
    pub(super) fn older_than(&self, age: Duration) -> Vec<(Token, Scopes)> {
        let now = Instant::now();
        let marks = self.marks();
        let old = marks
            .iter()
            .filter(|(_, (_, renewed))| now.saturating_duration_since(*renewed) >= age);
        old.map(|(mark, (scopes, _))| (*mark, Arc::clone(scopes)))
            .collect()
    }

    /// A mark has been renewed by what was sent then.
    pub(super) fn renewed(&self, mark: &Token, sent: Instant) {
        if let Some((_, renewed)) = self.marks().get_mut(mark) {
            *renewed = sent;
        }
    }

    fn marks(&self) -> MutexGuard<'_, HashMap<Token, (Scopes, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
