//! The replies that are asked for most, so that they can be read again when a write has made them
//! worthless.
//!
//! Each relation keeps a few places. Who is not among them takes the place of the last, with one
//! count more than it had: so whoever is asked for more often than the last place's share is among
//! them (Metwally, Agrawal, El Abbadi 2005, "Space-Saving"). Counts are halved now and then, and
//! what was hot once cools down.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use cache::{CacheKey, Scope};
use catalog::{DatabaseId, RelationId};
use session::Recipe;

/// All rankings.
#[derive(Debug, Default)]
pub(super) struct Rankings {
    databases: Mutex<Databases>,
    /// There is one; without, a write costs a load.
    any: AtomicBool,
}

type Databases = HashMap<DatabaseId, Ranked>;

/// The rankings of one database, under one generation of its catalog.
#[derive(Debug, Default)]
struct Ranked {
    generation: u64,
    relations: HashMap<RelationId, Ranking<Arc<Recipe>>>,
}

#[derive(Debug)]
struct Ranking<T> {
    places: Vec<Place<T>>,
    asked: u32,
}

#[derive(Debug)]
struct Place<T> {
    key: CacheKey,
    item: T,
    count: u32,
}

impl Rankings {
    /// A reply was asked for. Never waits: what comes while another is being counted is not.
    pub(super) fn count(&self, recipe: &Arc<Recipe>) {
        if recipe.bytes() > RECIPE_BYTES_MAX {
            return;
        }
        let Ok(mut databases) = self.databases.try_lock() else {
            return;
        };
        let full = databases.len() >= DATABASES_MAX;
        let database = recipe.knowledge.database;
        if full && !databases.contains_key(&database) {
            // Databases come and go; what is still asked for is soon ranked again.
            databases.clear();
        }
        databases.entry(database).or_default().count(recipe);
        self.any.store(true, Ordering::Relaxed);
    }

    /// The replies among them that a write of these scopes makes worthless, the hottest first.
    pub(super) fn hit_by(&self, scopes: &[Scope]) -> Vec<Arc<Recipe>> {
        if !self.any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let databases = self
            .databases
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<Scope> = scopes.to_vec();
        sorted.sort_unstable();
        let mut relations: Vec<_> = scopes.iter().filter_map(relation).collect();
        relations.sort_unstable();
        relations.dedup();
        let mut hit: Vec<(u32, Arc<Recipe>)> = Vec::new();
        for (database, relation) in relations {
            let ranking = databases
                .get(&database)
                .and_then(|it| it.relations.get(&relation));
            for place in ranking.into_iter().flat_map(|ranking| &ranking.places) {
                let mut own = place.item.scopes.iter();
                let depends = own.any(|scope| sorted.binary_search(scope).is_ok());
                let known = || hit.iter().any(|(_, recipe)| recipe.key == place.key);
                if depends && !known() {
                    hit.push((place.count, Arc::clone(&place.item)));
                }
            }
        }
        hit.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        hit.into_iter().map(|(_, recipe)| recipe).collect()
    }
}

impl Ranked {
    fn count(&mut self, recipe: &Arc<Recipe>) {
        let generation = recipe.knowledge.generation;
        if generation < self.generation {
            return;
        }
        if generation > self.generation {
            // What was planned under older definitions is not read again, and would keep them.
            self.generation = generation;
            self.relations.clear();
        }
        let mut last = None;
        for (_, relation) in recipe.scopes.iter().filter_map(relation) {
            // Scopes are sorted, so those of one relation may stand apart; few are counted twice.
            if last.replace(relation) == Some(relation) {
                continue;
            }
            let full = self.relations.len() >= RELATIONS_MAX;
            if !full || self.relations.contains_key(&relation) {
                let ranking = self.relations.entry(relation).or_default();
                ranking.count(recipe.key, recipe);
            }
        }
    }
}

impl<T: Clone> Ranking<T> {
    fn count(&mut self, key: CacheKey, item: &T) {
        self.asked += 1;
        if self.asked >= COOLING {
            self.asked = 0;
            self.places.iter_mut().for_each(|place| place.count /= 2);
        }
        let found = self.places.iter_mut().find(|place| place.key == key);
        if let Some(place) = found {
            place.count += 1;
            return;
        }
        let mut newcomer = Place {
            key,
            item: item.clone(),
            count: 1,
        };
        if self.places.len() < PLACES {
            self.places.push(newcomer);
        } else if let Some(last) = self.places.iter_mut().min_by_key(|place| place.count) {
            newcomer.count += last.count;
            *last = newcomer;
        }
    }
}

impl<T> Default for Ranking<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            asked: 0,
        }
    }
}

/// The relation whose rows a scope stands for.
const fn relation(scope: &Scope) -> Option<(DatabaseId, RelationId)> {
    match *scope {
        Scope::Epoch(_) | Scope::Drops(_) => None,
        Scope::Relation(database, relation)
        | Scope::Bulk(database, relation)
        | Scope::Row(database, relation, _)
        | Scope::Insert(database, relation) => Some((database, relation)),
    }
}

/// How many replies are read again after one write, at most, for each relation that it changes.
const PLACES: usize = 16;

/// After so many questions all counts are halved.
const COOLING: u32 = 1024;

/// Relations that are ranked in one database; further ones are not.
const RELATIONS_MAX: usize = 256;

/// Databases that are ranked at the same time.
const DATABASES_MAX: usize = 16;

/// Text and arguments of a statement that is ranked, in bytes. With the above, all rankings take
/// 64 MiB a database at the very most.
const RECIPE_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use cache::DigestBuilder;

    use super::*;

    fn key(number: u64) -> CacheKey {
        let mut key = DigestBuilder::default();
        key.number(number);
        key.into_key().0
    }

    fn items(ranking: &Ranking<u64>) -> Vec<u64> {
        let mut items: Vec<_> = ranking.places.iter().map(|place| place.item).collect();
        items.sort_unstable();
        items
    }

    #[test]
    fn the_hot_stay_among_a_crowd_that_passes_by() {
        let mut ranking = Ranking::default();
        for stranger in 1000..5000 {
            ranking.count(key(stranger), &stranger);
            for regular in 0..4 {
                ranking.count(key(regular), &regular);
            }
        }
        assert_eq!(ranking.places.len(), PLACES);
        assert_eq!(items(&ranking)[..4], [0, 1, 2, 3]);
    }

    #[test]
    fn what_was_hot_once_cools_down() {
        let mut ranking = Ranking::default();
        let mut ask = |items: std::ops::Range<u64>, times: u32| {
            for _ in 0..times {
                items
                    .clone()
                    .for_each(|item| ranking.count(key(item), &item));
            }
            ranking
                .places
                .iter()
                .map(|place| place.item)
                .collect::<Vec<_>>()
        };
        ask(0..16, 1000);
        let now = ask(100..116, 1000);
        assert!(now.iter().all(|&item| item >= 100), "{now:?}");
    }
}
