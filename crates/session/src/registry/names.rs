//! What a client keeps under names of its own.

use std::cell::Cell;

use indexmap::IndexMap;

use super::Name;

/// Values by name.
///
/// Most messages are about the unnamed one, which has a place of its own, or about the one that the
/// message before was about, which is found without a hash.
#[derive(Debug)]
pub(super) struct Names<T> {
    unnamed: Option<T>,
    named: IndexMap<Name, T, foldhash::fast::RandomState>,
    /// Where the last one was found. What stands there now may be another, or nothing.
    last: Cell<usize>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            unnamed: None,
            named: IndexMap::default(),
            last: Cell::new(0),
        }
    }
}

impl<T> Names<T> {
    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        if name.is_empty() {
            return self.unnamed.as_ref();
        }
        let (_, value) = self.named.get_index(self.place(name)?)?;
        Some(value)
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut T> {
        if name.is_empty() {
            return self.unnamed.as_mut();
        }
        let (_, value) = self.named.get_index_mut(self.place(name)?)?;
        Some(value)
    }

    fn place(&self, name: &[u8]) -> Option<usize> {
        let last = self.last.get();
        let found = |(known, _): (&Name, &T)| known[..] == *name;
        if self.named.get_index(last).is_some_and(found) {
            return Some(last);
        }
        let place = self.named.get_index_of(name)?;
        self.last.set(place);
        Some(place)
    }

    pub(super) fn insert(&mut self, name: Name, value: T) -> Option<T> {
        if name.is_empty() {
            self.unnamed.replace(value)
        } else {
            self.named.insert(name, value)
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        if name.is_empty() {
            self.unnamed.take()
        } else {
            self.named.swap_remove(name)
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unnamed.is_none() && self.named.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        let unnamed = self.unnamed.iter().map(|value| (&[][..], value));
        let named = self.named.iter().map(|(name, value)| (&name[..], value));
        unnamed.chain(named)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.unnamed.iter().chain(self.named.values())
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.unnamed.iter_mut().chain(self.named.values_mut())
    }

    pub(super) fn retain(&mut self, mut stays: impl FnMut(&[u8], &mut T) -> bool) {
        if self.unnamed.as_mut().is_some_and(|it| !stays(&[], it)) {
            self.unnamed = None;
        }
        if !self.named.is_empty() {
            self.named.retain(|name, value| stays(name, value));
        }
    }

    /// Takes out what does not stay.
    pub(super) fn extract(&mut self, mut goes: impl FnMut(&T) -> bool) -> Box<[(Name, T)]> {
        let unnamed = self.unnamed.take_if(|value| goes(value));
        let unnamed = unnamed.map(|value| (Name::new(), value));
        let named = self.named.extract_if(.., |_, value| goes(value));
        unnamed.into_iter().chain(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_are_those_of_a_map(steps in proptest::collection::vec((0..6_u8, 0..5_usize), 0..64)) {
            let all: [&[u8]; 5] = [b"", b"a", b"b", b"S_1", b"S_2"];
            let (mut names, mut map) = (Names::default(), HashMap::<Vec<u8>, usize>::new());
            for (number, (step, which)) in steps.into_iter().enumerate() {
                let name = all[which];
                match step {
                    0 | 1 => prop_assert_eq!(
                        names.insert(Name::from_slice(name), number),
                        map.insert(name.to_vec(), number)
                    ),
                    2 => prop_assert_eq!(names.remove(name), map.remove(name)),
                    3 => {
                        names.retain(|name, value| !name.is_empty() && *value % 3 > 0);
                        map.retain(|name, value| !name.is_empty() && *value % 3 > 0);
                    }
                    4 => {
                        for (name, value) in names.extract(|value| value % 2 > 0) {
                            prop_assert_eq!(map.remove(&name[..]), Some(value));
                        }
                        prop_assert!(map.values().all(|value| value % 2 == 0));
                    }
                    _ => {
                        names.values_mut().for_each(|value| *value += 1);
                        map.values_mut().for_each(|value| *value += 1);
                    }
                }
                for name in all {
                    prop_assert_eq!(names.get(name), map.get(name));
                    prop_assert_eq!(names.get_mut(name), map.get_mut(name));
                }
                let listed: HashMap<_, _> = names.iter().map(|(name, it)| (name.to_vec(), *it)).collect();
                prop_assert_eq!(&listed, &map);
                prop_assert_eq!(names.values().count(), map.len());
                prop_assert_eq!(names.is_empty(), map.is_empty());
            }
        }
    }
}
