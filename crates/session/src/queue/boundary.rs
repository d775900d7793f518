//! What the messages between two ReadyForQuery amount to.

use cache::Digest;
use sql::{Plan, Writes};

/// What the messages between two ReadyForQuery amount to.
#[derive(Debug)]
pub(crate) struct Boundary {
    /// The segment's number.
    pub(crate) segment: u64,
    /// The last mark that was set for it.
    pub(crate) ticket: Option<u64>,
    /// What it may have written.
    pub(crate) writes: Writes,
    /// It was sent without a mark, and should have had one for all that is known now.
    pub(crate) unmarked: bool,
    /// It may have begun or ended a transaction block: its status is not known before its end.
    pub(crate) control: bool,
    /// It ended a transaction block, perhaps to begin the next at once.
    pub(crate) chains: bool,
    /// Something was answered here in it for which the server would have taken a snapshot, and no block
    /// was open.
    pub(crate) queried: bool,
    /// Something in it may be committed even though something else failed.
    pub(crate) commits: bool,
    /// Whether a transaction block begun here is READ COMMITTED, as far as is known.
    pub(crate) read_committed: Option<bool>,
    /// It may have told the server to read its configuration.
    pub(crate) reloads: bool,
    /// It failed.
    pub(crate) failed: bool,
    /// Something in it has run.
    pub(crate) ran: bool,
    /// It failed before anything in it ran.
    pub(crate) barren: bool,
    /// Should it fail, some of what it writes without a bound may have been committed on the way.
    pub(crate) piecemeal: bool,
    /// Should it have failed, it may have been committed before: the server tells that a query has
    /// ended, and answers a Sync, behind the commit (`exec_simple_query` in `postgres.c`), and a
    /// cancel that came while it waited for its disk is heard only then.
    pub(crate) late: bool,
    /// It has dropped code, and nobody was told yet.
    pub(crate) drops: bool,
    /// The server's tags so far prove that nothing was written after all.
    pub(crate) judged: Judged,
    /// For all that its statements say, it may have run any code. Unlike what it may have written, this
    /// does not grow with what others have done.
    pub(crate) unbounded: bool,
    /// The same of definitions, of which the tag tells more.
    pub(crate) defines: bool,
    /// Its one statement has done nothing, as the server says, unless something fires on definitions of
    /// which nobody knew.
    pub(crate) skipped: bool,
    /// The settings it changes.
    pub(crate) settings: SettingsChange,
    /// It may create or drop temporary objects.
    pub(crate) temporary: bool,
    /// What it does to them is known, unless it fails.
    pub(crate) founds: bool,
    /// It changes how the server reads texts.
    pub(crate) texts: bool,
}

/// The verdict of CommandComplete over text that was not understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Judged {
    /// Nobody asked.
    No,
    /// The tag decides.
    Pending,
    /// Harmless.
    Cleared,
    /// Not harmless.
    Guilty,
}

/// What a segment does to settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SettingsChange {
    /// Nothing.
    None,
    /// What the session follows by itself until its block ends.
    Followed,
    /// This one statement, by digest of its text.
    One(Digest),
    /// Unknown.
    Unknown,
}

impl SettingsChange {
    /// Whether what holds afterwards only the server can tell.
    pub(crate) const fn is_doubtful(self) -> bool {
        matches!(self, Self::One(_) | Self::Unknown)
    }
}

impl Boundary {
    /// An empty segment.
    pub(crate) const fn new(segment: u64) -> Self {
        Self {
            segment,
            ticket: None,
            writes: Writes::Nothing,
            unmarked: false,
            control: false,
            chains: false,
            queried: false,
            commits: false,
            read_committed: None,
            reloads: false,
            failed: false,
            ran: false,
            barren: false,
            piecemeal: false,
            late: false,
            drops: false,
            unbounded: false,
            defines: false,
            judged: Judged::No,
            skipped: false,
            settings: SettingsChange::None,
            temporary: false,
            founds: false,
            texts: false,
        }
    }

    /// What it writes may have more effects than were known.
    pub(crate) fn distrust(&mut self, passed: Passed) {
        passed.taint(&mut self.writes);
        self.piecemeal |= self.writes.is_unbounded();
        self.unmarked |= passed == Passed::All && self.ticket.is_none();
    }

    /// The server has reported an error, in answer to what runs nothing: what was to be run behind that
    /// never was.
    pub(crate) const fn fail_unrun(&mut self) {
        self.barren = !self.ran;
    }

    /// What `plan` says is among what it may write.
    pub(crate) fn add(&mut self, writes: &Writes, plan: &Plan) {
        self.writes.add(writes);
        if plan.writes.is_unbounded() {
            self.unbounded |= !plan.effects.whole;
            self.piecemeal |= !plan.effects.whole;
            self.defines |= plan.effects.whole;
        }
        self.commits |= plan.effects.commits;
        self.temporary |= plan.effects.temporary;
    }

    /// Something in it wrote, for all that is known.
    pub(crate) fn convict(&mut self) {
        if self.judged != Judged::No {
            self.judged = Judged::Guilty;
        }
    }

    /// Whether it has ended a transaction block, of which nothing is left in one that may be open now.
    pub(crate) fn is_chained(&self) -> bool {
        self.chains && !self.failed
    }

    /// Adds what an earlier segment amounts to, whose Sync the server ignored.
    pub(crate) fn absorb(&mut self, earlier: Self) {
        self.ticket = self.ticket.max(earlier.ticket);
        self.writes.add(&earlier.writes);
        self.unmarked |= earlier.unmarked;
        self.control |= earlier.control;
        self.chains |= earlier.chains;
        self.commits |= earlier.commits;
        self.queried |= earlier.queried;
        self.read_committed = self.read_committed.or(earlier.read_committed);
        self.reloads |= earlier.reloads;
        self.failed |= earlier.failed;
        self.ran |= earlier.ran;
        self.barren = false;
        self.piecemeal |= earlier.piecemeal;
        self.late |= earlier.late;
        self.drops |= earlier.drops;
        self.unbounded |= earlier.unbounded;
        self.defines |= earlier.defines;
        self.temporary |= earlier.temporary;
        self.founds = false;
        self.skipped = false;
        self.texts |= earlier.texts;
        self.judged = match (earlier.judged, self.judged) {
            (Judged::No, verdict) | (verdict, Judged::No) => verdict,
            _ => Judged::Guilty,
        };
        self.settings = match (earlier.settings, self.settings) {
            (SettingsChange::None, change) | (change, SettingsChange::None) => change,
            _ => SettingsChange::Unknown,
        };
    }
}

/// Of which statements it is not known any more what they write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Passed {
    /// Those that change rows.
    Rows,
    /// Those that run code as well.
    Code,
    /// All: what is merely read may be something else by now that changes something.
    All,
}

impl Passed {
    /// What is to be believed of statements that were told to write this.
    pub(crate) fn taint(self, writes: &mut Writes) {
        let tainted = match self {
            Self::Rows => writes.any(),
            Self::Code => !writes.is_nothing(),
            Self::All => true,
        };
        if tainted {
            writes.add(&Writes::Everything);
        }
    }
}
