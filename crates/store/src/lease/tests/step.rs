//! What may happen in the world, how often, and which rule is left out.

/// What may happen next.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Step {
    /// True time goes on by one.
    Tick,
    /// A holder sends what it has to ask.
    Ask(usize),
    /// Redis takes the holder's question.
    Answer(usize),
    /// The connection brings the holder its next message.
    Hear(usize),
    /// It brings what was published behind an answer, whose task has not been woken yet.
    HearAhead(usize),
    /// It loses that message, if it was published.
    Lose(usize),
    /// The holder gives up its question.
    GiveUp(usize),
    /// The holder's connection is replaced.
    Reconnect(usize),
    /// A lookup goes from instance to Redis, back, to PostgreSQL, and to Redis with the reply.
    LookUp(usize),
    /// A write goes to Redis, back, waits, commits, and goes to Redis again.
    Write(usize),
    /// A writer reads the ledger.
    Read(usize),
    /// An instance learns which database it serves, and gives up what was recorded of it.
    Name(usize),
    /// Redis forgets everything.
    Flush,
}

impl Step {
    /// Who takes it.
    pub(super) const fn instance(self) -> Option<usize> {
        match self {
            Self::Ask(i)
            | Self::Hear(i)
            | Self::HearAhead(i)
            | Self::GiveUp(i)
            | Self::LookUp(i)
            | Self::Write(i)
            | Self::Name(i)
            | Self::Read(i) => Some(i),
            Self::Tick | Self::Flush | Self::Answer(_) | Self::Lose(_) | Self::Reconnect(_) => None,
        }
    }
}

/// A rule that is left out, to see it missed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Without {
    Nothing,
    /// Writers wait for nobody.
    Waiting,
    /// Writers wait for as long as a lease takes, but not for slow clocks.
    Drift,
    /// Leases are counted from when they were granted, not from before they were asked for.
    Sending,
    /// Holders serve whatever the time.
    Expiry,
    /// Marks are acknowledged before what they touch is forgotten.
    Touching,
    /// What a lost message touched is not forgotten.
    Forgetting,
    /// A young ledger is believed to know all members.
    Ripeness,
    /// Replies are kept under what is known when they come, not when they were asked for.
    Snapshot,
    /// Members are struck off though they have renewed their leases.
    Beats,
    /// A writer's own replies stay when its mark is set.
    Own,
    /// Who does not know yet to which database it writes does not wait until it does.
    Naming,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Left {
    pub(super) ticks: u8,
    pub(super) losses: u8,
    pub(super) reconnections: u8,
    pub(super) flushes: u8,
    pub(super) writes: u8,
    pub(super) lookups: u8,
    pub(super) asks: u8,
}
