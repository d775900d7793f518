//! Cells: where writers and readers of one scope meet.
//!
//! Invariant: a cell shows a token only while no mark is held on it, and after a bump never one
//! that it has shown before. A cell that is forgotten has a successor with another token.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use cache::Scope;

use super::tokens::{Token, Tokens};

/// The version of one scope.
#[derive(Debug)]
pub(super) struct Cell {
    scope: Scope,
    /// The token's number, or 0 while it is being written.
    current: AtomicU64,
    writers: Mutex<Writers>,
}

/// Those who are writing.
#[derive(Debug)]
struct Writers {
    marks: u64,
    /// Whether one of them has bumped since there were none.
    changed: bool,
    /// What was shown before the first of them came.
    before: Token,
}

impl Cell {
    fn new(scope: Scope, token: Token) -> Self {
        Self {
            scope,
            current: AtomicU64::new(token.number()),
            writers: Mutex::new(Writers {
                marks: 0,
                changed: false,
                before: token,
            }),
        }
    }

    pub(super) const fn scope(&self) -> Scope {
        self.scope
    }

    /// The token, unless the scope is being written.
    pub(super) fn current(self: &Arc<Self>) -> Option<Token> {
        Token::from_number(self.current.load(Ordering::SeqCst))
    }

    /// The token and whether it is current; if it is not, it may be again. None if it will not be.
    pub(super) fn peek(&self) -> Option<(Token, bool)> {
        let writers = self.writers();
        (!writers.changed).then_some((writers.before, writers.marks == 0))
    }

    /// Takes the token away until as many bumps and clears have followed as there were marks.
    pub(super) fn mark(&self) {
        let mut writers = self.writers();
        writers.marks += 1;
        // SeqCst: the caller goes on to let a server commit, which others may see by ways that
        // the memory model knows nothing of.
        self.current.store(0, Ordering::SeqCst);
    }

    /// Ends a mark whose writer may have changed something.
    pub(super) fn bump(&self, tokens: &Tokens) {
        let mut writers = self.writers();
        writers.changed = true;
        self.release(&mut writers, tokens);
    }

    /// Ends a mark whose writer has changed nothing.
    pub(super) fn clear(&self, tokens: &Tokens) {
        self.release(&mut self.writers(), tokens);
    }

    fn release(&self, writers: &mut Writers, tokens: &Tokens) {
        writers.marks -= 1;
        if writers.marks > 0 {
            return;
        }
        if std::mem::take(&mut writers.changed) {
            writers.before = tokens.next();
        }
        self.current
            .store(writers.before.number(), Ordering::SeqCst);
    }

    /// No code under this lock can panic half way, so a poisoned one is as good.
    fn writers(&self) -> MutexGuard<'_, Writers> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All cells by scope.
///
/// Cells that no record and no mark refers to are forgotten now and then. A stamp that was read
/// from one is then refused, which costs a miss.
#[derive(Debug)]
pub(super) struct Cells {
    shards: Box<[RwLock<Shard>]>,
}

#[derive(Debug)]
struct Shard {
    cells: HashMap<Scope, Arc<Cell>, foldhash::fast::RandomState>,
    /// At how many cells the unused ones are looked for.
    sweep_at: usize,
}

impl Default for Cells {
    fn default() -> Self {
        let shard = || {
            RwLock::new(Shard {
                cells: HashMap::default(),
                sweep_at: SWEEP_AT_LEAST,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard)
                .take(1 << SHARD_BITS)
                .collect(),
        }
    }
}

impl Cells {
    /// Does something with the cell of a scope, which is made if there is none.
    ///
    /// A cell cannot be forgotten between here and the end of `act`, which may clone it.
    pub(super) fn with<T>(
        &self,
        scope: Scope,
        tokens: &Tokens,
        act: impl FnOnce(&Arc<Cell>) -> T,
    ) -> T {
        let shard = self.shard(scope);
        if let Some(cell) = shard
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .cells
            .get(&scope)
        {
            return act(cell);
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        shard.sweep();
        act(shard
            .cells
            .entry(scope)
            .or_insert_with(|| Arc::new(Cell::new(scope, tokens.next()))))
    }

    fn shard(&self, scope: Scope) -> &RwLock<Shard> {
        let index = (spread(scope) >> SHARD_SHIFT) as usize;
        self.shards
            .get(index)
            .expect("an index has as many bits as there are shards")
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.read().unwrap().cells.len())
            .sum()
    }
}

impl Shard {
    /// Forgets unused cells once their number has doubled.
    ///
    /// The lock is held for writing and a clone is made only under it, so a count of one stays one.
    fn sweep(&mut self) {
        if self.cells.len() >= self.sweep_at {
            self.cells.retain(|scope, cell| {
                matches!(scope, Scope::Epoch(_) | Scope::Drops(_)) || Arc::strong_count(cell) > 1
            });
            self.sweep_at = (2 * self.cells.len()).max(SWEEP_AT_LEAST);
        }
    }
}

/// Spreads scopes over the shards. Those that meet in one only wait for each other.
fn spread(scope: Scope) -> u64 {
    let (relation, class) = match scope {
        Scope::Epoch(_) | Scope::Drops(_) => (0, 0),
        Scope::Relation(_, relation) | Scope::Bulk(_, relation) | Scope::Insert(_, relation) => {
            (relation.oid(), 0)
        }
        Scope::Row(_, relation, class) => (relation.oid(), class.number()),
    };
    // Fibonacci hashing: the upper bits depend on all.
    u64::from(relation ^ class).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Few, because only misses, fills and writes come here.
const SHARD_BITS: u32 = 4;

/// The upper bits choose the shard.
const SHARD_SHIFT: u32 = u64::BITS - SHARD_BITS;

/// Below this a sweep is not worth its while.
const SWEEP_AT_LEAST: usize = 1024;
