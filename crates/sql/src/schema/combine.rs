//! The plan of a statement string from those of its statements.

use crate::facts::{Bound, Sentence};
use crate::{Analysis, Control, Effects, Meaning, Pinned, Plan, Reason, SettingsEffect, Writes};

/// What may be done with a statement string while nothing is known about the database.
pub fn plan_without_catalog(analysis: &Analysis) -> Plan {
    let plan = combine(analysis, |sentence, _| Plan {
        writes: match &sentence.writes {
            Bound::Nothing => Writes::Nothing,
            Bound::Lexical(_) | Bound::Own(_) | Bound::Everything => Writes::Everything,
            Bound::Cluster => Writes::Cluster,
        },
        effects: match &sentence.writes {
            // Event triggers may be there.
            Bound::Nothing | Bound::Own(_) | Bound::Everything | Bound::Cluster => Effects {
                skips: None,
                ..sentence.effects.clone()
            },
            // Any function may be called.
            Bound::Lexical(_) => Effects {
                settings: SettingsEffect::Unknown,
                ..sentence.effects.clone()
            },
        },
        ..nothing(match &sentence.read {
            Ok(_) => Reason::NoCatalog,
            Err(reason) => *reason,
        })
    });
    reloading(plan, analysis.reloads())
}

/// The same where something has the server read its configuration.
pub(super) fn reloading(mut plan: Plan, reloads: bool) -> Plan {
    if reloads && plan.writes.is_unbounded() {
        plan.effects.reloads = true;
        plan.effects.commits = true;
    }
    plan
}

/// Where a statement of a string stands.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Names mean to it what they meant when the string came.
    Same,
    /// Behind what may have changed the search path, the role or what there is.
    Moved,
}

impl Place {
    /// Where the next statement stands.
    fn behind(self, effects: &Effects) -> Self {
        let stays = matches!(
            effects.control,
            None | Some(Control::Begin(_) | Control::Savepoint)
        );
        let changes = effects.settings != SettingsEffect::Untouched
            || effects.commits
            || effects.temporary
            || effects.names;
        if stays && !changes { self } else { Self::Moved }
    }
}

/// The plan of a string from those of its statements.
pub(super) fn combine(analysis: &Analysis, plan: impl Fn(&Sentence, Place) -> Plan) -> Plan {
    match analysis.sentences() {
        [] => nothing(Reason::NotARead),
        [one] => plan(one, Place::Same),
        several => together(several, plan),
    }
}

/// The plan of what does nothing.
pub(super) fn nothing(reason: Reason) -> Plan {
    Plan {
        read: Err(reason),
        meaning: Meaning::default(),
        settings: Box::default(),
        builtin_parameters: false,
        timeless_parameters: false,
        formed_literals: false,
        folds: false,
        writes: Writes::Nothing,
        own: false,
        pinned: Pinned::default(),
        effects: Effects::default(),
    }
}

/// The same of several statements.
fn together(several: &[Sentence], plan: impl Fn(&Sentence, Place) -> Plan) -> Plan {
    let mut all = nothing(Reason::SeveralStatements);
    let (mut runs, mut names, mut place) = (false, false, Place::Same);
    let (mut deallocates, mut understood) = (Vec::new(), true);
    for sentence in several {
        names |= match &sentence.writes {
            Bound::Lexical(_) => true,
            Bound::Own(own) => own.names_any(),
            Bound::Nothing | Bound::Everything | Bound::Cluster => false,
        };
        let code = matches!(sentence.writes, Bound::Lexical(_) | Bound::Own(_));
        let Plan {
            read,
            meaning,
            settings: _,
            builtin_parameters: _,
            timeless_parameters: _,
            formed_literals: _,
            folds: _,
            writes,
            own,
            pinned: _,
            effects,
        } = plan(sentence, place);
        place = place.behind(&effects);
        all.meaning = all.meaning.and(meaning);
        runs |= code && !writes.is_nothing();
        all.writes.add(&writes);
        all.own |= own;
        merge(&mut all.effects, &effects);
        // What EXECUTE runs is hardly a PREPARE or a DEALLOCATE, whose tags it would have.
        understood &= !effects.tag_judges || read != Err(Reason::Unreadable);
        deallocates.extend(effects.deallocates);
    }
    if understood {
        all.effects.deallocates = deallocates.into();
    }
    if runs && all.writes.is_unbounded() {
        // It may run what is defined beside it, and gone before the catalog is read.
        all.effects.settings = SettingsEffect::Unknown;
        all.effects.temporary = true;
    }
    if names && all.effects.temporary {
        // They may come to mean what is not known yet.
        all.writes.add(&Writes::Everything);
    }
    all
}

/// Adds the effects of one statement among several. No tag speaks for all of them.
fn merge(all: &mut Effects, one: &Effects) {
    let Effects {
        control,
        settings,
        temporary,
        makes: _,
        founds: _,
        names,
        sight: _,
        commits,
        whole: _,
        skips: _,
        tag_judges: _,
        deallocates: _,
        reloads: _,
        calls_unknown,
        pins,
    } = one;
    all.settings = std::mem::take(&mut all.settings).and(settings);
    all.temporary |= temporary;
    all.names |= names;
    all.commits |= *commits || control.is_some();
    all.calls_unknown |= calls_unknown;
    all.pins |= pins;
}
