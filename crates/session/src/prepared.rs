//! What is remembered of a statement's text, for all sessions.

mod shape;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cache::{Digest, DigestBuilder, Refresh};
use catalog::RelationId;
use smallvec::SmallVec;
use sql::{
    Arguments, Effects, Form, FormLiterals, Literals, Meaning, Pinned, Plan, Reason, Setting,
    SettingsEffect, Temporary, Writes,
};

use self::shape::Shapes;
pub(crate) use self::shape::{Shape, Types};
use crate::{Identity, Knowledge, Tally, copy};

/// A statement's text with everything that was found out about it under one context: catalog
/// snapshot, policy, search path and role.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The text, exactly as sent.
    pub(crate) text: Bytes,
    /// The context it was planned under; 0 for none.
    pub(crate) context: u64,
    /// Of the text without what carries no meaning; made when it is first looked up.
    digest: OnceLock<Digest>,
    /// It holds no statement at all.
    empty: bool,
    /// Nobody here knows what the server reads in it.
    unread: bool,
    /// What may be done with it. Statements of one form share it.
    pub(crate) plan: Arc<Plan>,
    /// Where the values stand in the text that the plan leaves open.
    literals: FormLiterals,
    /// Whether its plan is that of its form, but for those values.
    formal: bool,
    /// How long a recorded reply lives, or why there is none.
    pub(crate) ttl: Result<Duration, Reason>,
    /// How that reply is renewed in the background.
    pub(crate) refresh: Refresh,
    /// Whether the text alone could be a cacheable read, so that it pays to learn the session's state.
    pub(crate) candidate: bool,
    /// Whether its names have to be resolved before anything can be said of its writes.
    pub(crate) needs_catalog: bool,
    /// The server may ask for copy data in answer to it.
    pub(crate) may_take_data: bool,
    /// The server reads literals in it, or in functions that it plans with it, once, as settings have
    /// it then.
    pub(crate) literal: bool,
    /// A digest of the search path it was planned for, if that was known.
    pub(crate) path: Option<u64>,
    /// Declared parameter types under which the server has parsed it, and what it said then.
    shapes: RwLock<Shapes>,
    /// How long the server takes for it, in microseconds; 0 while nobody knows. Statements of one
    /// form share it.
    cost_us: Arc<AtomicU32>,
    /// What is counted of it, if anything can be.
    pub(crate) tally: Option<Arc<Tally>>,
    /// Its Parse brings a notice.
    noisy: AtomicBool,
}

/// Where a statement is planned.
pub(crate) struct Place<'a> {
    pub(crate) knowledge: &'a Knowledge,
    /// For whom; without, names mean all that they could.
    pub(crate) identity: Option<&'a Identity>,
    /// What temporary objects may do, if nobody is known.
    pub(crate) temporary: &'a Temporary,
    /// The number of all that.
    pub(crate) context: u64,
}

impl Place<'_> {
    fn plan(&self, analysis: &sql::Analysis) -> Plan {
        let schema = &self.knowledge.schema;
        match self.identity {
            Some(identity) => {
                let context = sql::Context {
                    path: &identity.path,
                    role: identity.role,
                    temporary: identity.temporary(),
                };
                schema.plan(analysis, &context)
            }
            None => schema.plan_anywhere(analysis, self.temporary),
        }
    }
}

impl Prepared {
    /// Plans `text`. Without knowledge of the database, only what the text proves is allowed.
    pub(crate) fn new(text: &[u8], place: Option<Place<'_>>) -> Self {
        let analysis = sql::analyze(text);
        let path = place.as_ref().and_then(|place| {
            let mut path = DefaultHasher::new();
            place.identity?.path.0.hash(&mut path);
            Some(path.finish())
        });
        let (plan, (ttl, refresh), context) = match place {
            Some(place) => {
                let (knowledge, id) = (place.knowledge, place.context);
                let plan = place.plan(&analysis);
                let hinted = plan.read.is_ok() && sql::has_nocache_hint(text);
                let kept = if hinted {
                    Err(Reason::Hint)
                } else {
                    kept(&plan, knowledge)
                };
                let kept = match kept {
                    Ok((ttl, refresh)) => (Ok(ttl), refresh),
                    Err(reason) => (Err(reason), Refresh::default()),
                };
                (plan, kept, id)
            }
            None => (
                sql::plan_without_catalog(&analysis),
                (Err(Reason::NoCatalog), Refresh::default()),
                0,
            ),
        };
        Self {
            text: Bytes::copy_from_slice(text),
            context,
            digest: OnceLock::new(),
            empty: is_empty(text),
            unread: false,
            ttl,
            refresh,
            candidate: analysis.is_candidate(),
            needs_catalog: analysis.needs_catalog(),
            may_take_data: !text.is_empty() && copy::may_take_data(text),
            literal: plan.formed_literals || is_formed(text),
            path,
            formal: analysis.is_formal(),
            plan: Arc::new(plan),
            literals: FormLiterals::new(),
            shapes: RwLock::default(),
            cost_us: Arc::default(),
            tally: None,
            noisy: AtomicBool::new(false),
        }
    }

    /// Whether it holds no statement at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.empty
    }

    /// Whether nobody knows what the server reads in it.
    pub(crate) const fn is_unread(&self) -> bool {
        self.unread
    }

    /// Whether its text has been read, and nobody knew then what its names mean.
    pub(crate) const fn is_unplanned(&self) -> bool {
        self.path.is_none() && !self.unread
    }

    /// Its text, unless nobody has read that.
    pub(crate) fn words(&self) -> Option<&[u8]> {
        (!self.text.is_empty()).then_some(&self.text)
    }

    /// A digest of what carries meaning in its text.
    pub(crate) fn digest(&self) -> &Digest {
        self.digest.get_or_init(|| {
            let mut digest = DigestBuilder::default();
            digest.field(&sql::significant_text(&self.text)).finish()
        })
    }

    /// What all statements of its form have in common; `None` if the form does not say enough. What
    /// the parser did not understand may be a literal.
    pub(crate) fn opened(&self, form: &Form) -> Option<Self> {
        if !self.formal || self.plan.read == Err(Reason::Unreadable) {
            return None;
        }
        let mut plan = Plan::clone(&self.plan);
        plan.open(form);
        Some(Self {
            literal: plan.formed_literals || is_formed(&form.text),
            ..self.with(Bytes::copy_from_slice(&form.text), plan.into())
        })
    }

    /// The statement of this text, which has the form that `self` is of.
    pub(crate) fn filled(&self, text: &[u8], form: Form) -> Self {
        let plan = Arc::clone(&self.plan);
        let mut literals = form.literals.iter().filter_map(|it| text.get(it.place()));
        let formed = literals.any(|it| it.starts_with(b"'") || it.contains(&b'.'));
        Self {
            literal: self.literal || formed,
            literals: form.literals,
            ..self.with(Bytes::copy_from_slice(text), plan)
        }
    }

    fn with(&self, text: Bytes, plan: Arc<Plan>) -> Self {
        Self {
            text,
            context: self.context,
            digest: OnceLock::new(),
            empty: self.empty,
            unread: self.unread,
            plan,
            literals: FormLiterals::new(),
            formal: self.formal,
            ttl: self.ttl,
            refresh: self.refresh,
            candidate: self.candidate,
            needs_catalog: self.needs_catalog,
            // It is one query or change of rows, whatever its literals say.
            may_take_data: false,
            literal: self.literal,
            path: self.path,
            shapes: RwLock::default(),
            cost_us: Arc::clone(&self.cost_us),
            tally: self.tally.clone(),
            noisy: AtomicBool::new(false),
        }
    }

    /// What its plan has to be told of a Bind.
    pub(crate) fn arguments<'a>(&'a self, bind: Arguments<'a>) -> Arguments<'a> {
        Arguments {
            literals: Literals {
                text: &self.text,
                places: &self.literals,
            },
            ..bind
        }
    }

    /// As if it had been planned in this context.
    #[cfg(test)]
    pub(crate) fn of_context(text: &[u8], context: u64) -> Self {
        Self {
            context,
            ..Self::new(text, None)
        }
    }

    /// A statement of which no more is known than what it does.
    pub(crate) fn of_plan(plan: Arc<Plan>, context: u64, may_take_data: bool) -> Self {
        Self {
            context,
            empty: false,
            plan,
            may_take_data,
            ..Self::opaque(b"")
        }
    }

    /// A statement of which nothing may be believed.
    pub(crate) fn opaque(text: &[u8]) -> Self {
        Self {
            text: Bytes::copy_from_slice(text),
            context: 0,
            digest: OnceLock::new(),
            empty: is_empty(text),
            unread: true,
            plan: Arc::new(Plan {
                read: Err(Reason::Unreadable),
                meaning: Meaning::default(),
                settings: Box::default(),
                builtin_parameters: false,
                timeless_parameters: false,
                formed_literals: false,
                folds: false,
                writes: match sql::may_be_shared(text) {
                    true => Writes::Cluster,
                    false => Writes::Everything,
                },
                own: false,
                effects: Effects {
                    settings: SettingsEffect::Unknown,
                    temporary: true,
                    names: true,
                    commits: true,
                    tag_judges: true,
                    ..Effects::default()
                },
                pinned: Pinned::default(),
            }),
            literals: FormLiterals::new(),
            formal: false,
            ttl: Err(Reason::Unreadable),
            refresh: Refresh::default(),
            candidate: false,
            needs_catalog: false,
            may_take_data: copy::may_take_data(text),
            literal: is_formed(text),
            path: None,
            shapes: RwLock::default(),
            cost_us: Arc::default(),
            tally: None,
            noisy: AtomicBool::new(false),
        }
    }

    /// The same statement when it is not known any more what it does: the catalog, the path or the
    /// role is another than it was planned for.
    pub(crate) fn outdated(&self) -> Self {
        let mut plan = Plan::clone(&self.plan);
        plan.writes.add(&Writes::Everything);
        Self {
            plan: Arc::new(plan),
            tally: self.tally.clone(),
            ..Self::opaque(&self.text)
        }
    }

    /// The same statement, EXECUTE, where it is known that it runs this.
    pub(crate) fn running(&self, run: &Plan) -> Self {
        let plan = Plan {
            writes: run.writes.clone(),
            effects: Effects {
                names: true,
                sight: self.plan.effects.sight.clone(),
                ..Effects::default()
            },
            ..Plan::clone(&self.plan)
        };
        Self {
            ttl: self.ttl,
            may_take_data: self.may_take_data,
            ..self.with(self.text.clone(), plan.into())
        }
    }

    /// The same statement where it changes what it would change now, but may read something else.
    pub(crate) fn unread_now(&self) -> Self {
        let mut plan = Plan::clone(&self.plan);
        plan.read = plan.read.and(Err(Reason::NoCatalog));
        plan.pinned = Pinned::default();
        Self {
            ttl: Err(Reason::NoCatalog),
            // Nothing proves that it means what it would.
            path: None,
            may_take_data: self.may_take_data,
            ..self.with(self.text.clone(), plan.into())
        }
    }

    /// Whether it pays to remember it. What was made of its form is made again as quickly, and texts
    /// with other values each time would push everything else out; but what is looked up has its
    /// digest, and what the server says of it, to keep.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        self.literals.is_empty() || self.ttl.is_ok()
    }

    /// What it sets with these values, if that is all it does.
    pub(crate) fn assigned(&self, arguments: &Arguments<'_>) -> Option<Box<[Setting]>> {
        match &self.plan.effects.settings {
            SettingsEffect::Calls(calls) => {
                let all = calls.iter().map(|call| call.resolve(arguments));
                all.collect()
            }
            SettingsEffect::One(setting) => Some([setting.clone()].into()),
            SettingsEffect::Several(settings) => Some(settings.clone()),
            SettingsEffect::Untouched | SettingsEffect::ResetAll | SettingsEffect::Unknown => None,
        }
    }

    /// Whether a server that has analysed this may still take it for what the same text means now.
    ///
    /// A text that nobody has read here may say something else by now. Another search path makes the
    /// server analyse it anew. If it was not known in which context it
    /// was analysed, it has to be `believed` that its names mean the same.
    pub(crate) fn means_the_same(&self, now: &Self, believed: bool) -> bool {
        if self.unread {
            return false;
        }
        if self.path.is_none() {
            return believed;
        }
        now.path.is_none() || self.path != now.path || self.plan.meaning.holds(&now.plan.meaning)
    }

    /// The same for what it changes, and runs.
    pub(crate) fn writes_the_same(&self, now: &Self) -> bool {
        let known = self.path.is_some() && self.path == now.path;
        known && !now.unread && self.plan.meaning.writes_as(&now.plan.meaning)
    }

    /// Whether there is something to count of it: it could have been a read, or may change something.
    pub(crate) fn is_counted(&self) -> bool {
        self.plan.read.is_ok() || self.refusal().is_some() || self.plan.writes.any()
    }

    /// The refusal that counts, if it could have been a read.
    pub(crate) fn refusal(&self) -> Option<Reason> {
        match &self.plan.read {
            Ok(_) => self.ttl.err(),
            Err(Reason::NotARead | Reason::Writes) => None,
            Err(reason) => Some(*reason),
        }
    }

    /// Its Parse has brought a notice, which nobody must miss.
    pub(crate) fn make_noisy(&self) {
        self.noisy.store(true, Ordering::Relaxed);
    }

    /// Whether its Parse brings a notice.
    pub(crate) fn is_noisy(&self) -> bool {
        self.noisy.load(Ordering::Relaxed)
    }

    /// How long the server takes for it, if that is known.
    pub(crate) fn cost(&self) -> Option<Duration> {
        let us = self.cost_us.load(Ordering::Relaxed);
        (us > 0).then(|| Duration::from_micros(u64::from(us)))
    }

    /// The server has taken this long: rises at once and falls slowly, because parameters differ.
    pub(crate) fn note_cost(&self, took: Duration) {
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        let known = self.cost_us.load(Ordering::Relaxed);
        let fallen = known - known.saturating_sub(us) / 4;
        self.cost_us.store(fallen.max(us), Ordering::Relaxed);
    }

    /// Approximate size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let shapes = self.shapes.read().unwrap_or_else(PoisonError::into_inner);
        let own = size_of::<Self>() + self.text.len() + size_of_val(&*self.literals) + 256;
        let own = own + shapes.bytes();
        let relations = match &self.plan.read {
            Ok(relations) => relations.len(),
            Err(_) => 0,
        };
        let plan = size_of::<Plan>() + relations * 4 + self.plan.pinned.bytes();
        // What is counted of it may have had to make room for others, and is kept by it alone then.
        let tally = self.tally.as_ref().map_or(0, |tally| tally.bytes());
        let plan = plan + tally;
        // The plan is counted with the form; but the form may go, and be planned anew, while texts
        // hold what it had.
        let shared = !self.literals.is_empty();
        own + if shared { plan / 4 } else { plan }
    }
}

/// Whether a text may mean something else under other settings. Names beyond ASCII do in another
/// encoding.
fn is_formed(text: &[u8]) -> bool {
    !text.is_ascii() || sql::has_formed_literals(text)
}

/// Whether a text holds no statement.
fn is_empty(text: &[u8]) -> bool {
    let text = sql::significant_text(text);
    text.iter().all(|&byte| matches!(byte, b';' | b' '))
}

/// How long a recorded reply lives, and how it is renewed.
fn kept(plan: &Plan, knowledge: &Knowledge) -> Result<(Duration, Refresh), Reason> {
    let relations = plan.read.as_ref().map_err(|reason| *reason)?;
    let snapshot = knowledge.schema.snapshot();
    let mut names = SmallVec::<[(&str, &str); 4]>::new();
    // What is read behind functions of an extension has no say beside what is named.
    let reference = |id: &RelationId| knowledge.schema.is_reference(*id);
    let all = relations.iter().all(reference);
    for &id in relations.iter().filter(|id| all || !reference(id)) {
        let relation = snapshot.relation(id).ok_or(Reason::UnknownRelation)?;
        let schema = snapshot
            .schema(relation.schema)
            .ok_or(Reason::UnknownRelation)?;
        names.push((&schema.name, &relation.name));
    }
    let refresh = knowledge.policy.refresh(names.iter().copied());
    let ttl = knowledge.policy.ttl(names).ok_or(Reason::Policy)?;
    Ok((ttl, refresh))
}
