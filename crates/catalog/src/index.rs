//! Lookup tables over the parts of a snapshot: a key, and the positions that have it.

use std::hash::Hash;

use foldhash::HashMap;
use smallvec::SmallVec;

/// Positions in a list by some key of its elements.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Index<K: Eq + Hash>(HashMap<K, SmallVec<[u32; 2]>>);

impl<K: Eq + Hash> Index<K> {
    /// Indexes `items`; the positions of one key stand in ascending order.
    pub(crate) fn new<T>(items: &[T], key: impl Fn(&T) -> K) -> Self {
        let mut map = HashMap::<K, SmallVec<[u32; 2]>>::default();
        for (position, item) in (0_u32..).zip(items) {
            map.entry(key(item)).or_default().push(position);
        }
        Self(map)
    }

    /// The elements of `items`, which must be the list that was indexed, that have `key`.
    pub(crate) fn of<'a, T, Q>(
        &'a self,
        items: &'a [T],
        key: &Q,
    ) -> impl DoubleEndedIterator<Item = &'a T> + Clone + use<'a, T, K, Q>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let positions: &[u32] = self.0.get(key).map_or(&[], |positions| positions);
        positions
            .iter()
            .filter_map(|&position| items.get(position as usize))
    }
}
