use catalog::{RoleId, SearchPath};
use sql::{SetScope, SetValue, SettingsEffect};

use super::{asked::OWN_MAX, *};
use crate::{Limits, Telemetry, tests::world::World};

fn shared() -> Shared {
    let limits = Limits {
        analysis_bytes_max: 1 << 20,
        entry_bytes_max: 1 << 20,
        statements_max: 10,
    };
    Shared::new(limits, Arc::new(Telemetry::default()))
}

/// Somebody for whom `app.x` has never been set.
fn nobody() -> Identity {
    let digest = DigestBuilder::default().finish();
    Identity {
        digest,
        state: digest,
        settings: [("app.x".into(), None)].into(),
        own: [].into(),
        login: RoleId::from_oid(10),
        role: RoleId::from_oid(10),
        path: SearchPath([].into()),
        temporary: None,
        shaping: digest,
        forms: digest,
        folds: digest,
        reading: digest,
        names: [].into(),
        libraries: [].into(),
        read_committed: true,
        isolation: [].into(),
        listed: [].into(),
        unloaded: [].into(),
    }
}

fn setting(scope: SetScope) -> Setting {
    Setting {
        name: "app.x".into(),
        scope,
        value: SetValue::Text("1".into()),
    }
}

/// What `app.x` is after a block that has set it for itself.
fn after_block(failed: bool) -> Option<Option<Box<[u8]>>> {
    let (shared, world) = (shared(), World::new(None));
    let mut mirror = Mirror::new(nobody().digest, None, [].into());
    mirror.learn(Told::All(nobody().into()), &shared, world.knowledge());
    let set = [setting(SetScope::Local)];
    assert!(mirror.follow(&set, &shared, world.knowledge()));
    mirror.changed(SettingsChange::Followed, failed, true);
    mirror.end_block(&shared, world.knowledge());
    let identity = mirror.identity()?;
    identity.settings.first().map(|(_, value)| value.clone())
}

#[test]
fn a_setting_has_a_value_after_the_block_only_if_it_was_set() {
    assert_eq!(after_block(false), Some(Some([].into())));
    // Whether it was is for the server to say.
    assert_eq!(after_block(true), None);
}

#[test]
fn who_cannot_be_known_is_asked_for_temporary_objects_all_the_same() {
    let (shared, world) = (shared(), World::new(None));
    let mut mirror = Mirror::new(nobody().digest, None, [].into());
    for number in 0..=OWN_MAX {
        mirror.ask_for(&format!("app.n{number}"));
    }
    assert!(!mirror.can_ask());
    mirror.doubt_temporary();
    assert!(mirror.can_ask() && mirror.wants_details());
    mirror.learn(Told::All(nobody().into()), &shared, world.knowledge());
    assert!(!mirror.can_ask() && mirror.identity().is_none());
    assert!(mirror.temporary().is_plain() && mirror.naming().is_some());
    // Settings that are not asked for tell sessions apart.
    assert!(!mirror.recall(&shared, world.knowledge()));
    // Where the answer does not help, nor would another.
    mirror.doubt_temporary();
    let mut unclear = nobody();
    unclear.temporary = Some(Temporary::Unknown);
    mirror.learn(Told::All(unclear.into()), &shared, world.knowledge());
    assert!(!mirror.can_ask());
}

#[test]
fn a_server_that_refuses_is_asked_for_less() {
    let (shared, world) = (shared(), World::new(None));
    let mut mirror = Mirror::new(nobody().digest, None, [].into());
    mirror.doubt_temporary();
    mirror.learn(Told::Nothing, &shared, world.knowledge());
    assert!(mirror.can_ask() && !mirror.wants_details());
    mirror.learn(Told::Temporary(None), &shared, world.knowledge());
    assert!(!mirror.can_ask() && mirror.temporary().is_plain());
    mirror.doubt_temporary();
    assert!(mirror.wants_details());
    for _ in 0..REFUSALS_MAX {
        assert!(mirror.can_ask());
        mirror.learn(Told::Nothing, &shared, world.knowledge());
    }
    assert!(!mirror.can_ask());
}

#[test]
fn what_the_server_does_not_list_is_asked_for() {
    let asked = |scope, followed| {
        let mut mirror = Mirror::new(nobody().digest, None, [].into());
        mirror.note_own(&SettingsEffect::One(setting(scope)), followed);
        !mirror.ask(&[]).names.is_empty()
    };
    assert!(asked(SetScope::Session, false) && asked(SetScope::Session, true));
    assert!(asked(SetScope::Local, false) && !asked(SetScope::Local, true));
    let analysis = sql::analyze(b"select set_config('hnsw.x', $1, false)");
    let world = World::new(None);
    let effects = world
        .knowledge()
        .schema
        .plan_anywhere(&analysis, &Temporary::Plain)
        .effects;
    let mut mirror = Mirror::new(nobody().digest, None, [].into());
    mirror.note_own(&effects.settings, true);
    assert_eq!(*mirror.ask(&[]).names, ["hnsw.x".into()]);
}

#[test]
fn who_is_asked_for_more_settings_has_nothing_in_common_with_others() {
    let (shared, world) = (shared(), World::new(None));
    let learned = |mirror: &mut Mirror| {
        mirror.learn(Told::All(nobody().into()), &shared, world.knowledge());
    };
    let mut first = Mirror::new(nobody().digest, None, shared.wanted().names());
    assert!(!first.wants_more(&shared));
    learned(&mut first);
    assert!(first.has_settings(&["app.x".into()]) && !first.has_settings(&["app.y".into()]));
    shared.wanted().add("app.y");
    assert!(first.wants_more(&shared));
    first.adopt(&shared);
    assert!(!first.wants_more(&shared) && first.can_ask() && first.naming().is_some());
    assert!(first.has_settings(&["app.y".into()]), "nothing is known");
    assert!(!first.recall(&shared, world.knowledge()));
    assert_eq!(*first.ask(&[]).names, ["app.y".into()]);
    assert!(first.ask(&[]).own.is_empty());
    // Who logs in from now on is asked for it from the beginning, and shares the answer.
    let mut second = Mirror::new(nobody().digest, None, shared.wanted().names());
    assert!(!second.recall(&shared, world.knowledge()));
    learned(&mut second);
    let mut third = Mirror::new(nobody().digest, None, shared.wanted().names());
    assert!(third.recall(&shared, world.knowledge()));
    // Nor does it hold for those who are asked for more.
    shared.wanted().add("app.z");
    let mut fourth = Mirror::new(nobody().digest, None, shared.wanted().names());
    assert!(!fourth.recall(&shared, world.knowledge()));
}
