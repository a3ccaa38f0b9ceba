//! A sorted set that takes little room while it holds little.

use std::collections::BTreeSet;

/// Most elements that are kept in a list. What is inserted or removed there moves half of them.
const FEW: usize = 16;

/// A sorted set. There are thousands of them, most with one element or two, and the smallest tree has room for eleven; but
/// one that a tenant fills with thousands must stay quick.
#[derive(Debug)]
pub(super) enum Sorted<T> {
    /// Sorted, each once.
    Few(Vec<T>),
    Many(BTreeSet<T>),
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<T: Ord> Sorted<T> {
    pub(super) fn insert(&mut self, element: T) {
        match self {
            Self::Few(list) => {
                let Err(at) = list.binary_search(&element) else { return };
                if list.len() < FEW {
                    list.reserve_exact(1);
                    list.insert(at, element);
                } else {
                    let mut tree: BTreeSet<T> = std::mem::take(list).into_iter().collect();
                    tree.insert(element);
                    *self = Self::Many(tree);
                }
            }
            Self::Many(tree) => _ = tree.insert(element),
        }
    }

    pub(super) fn remove(&mut self, element: &T) {
        match self {
            Self::Few(list) => {
                if let Ok(at) = list.binary_search(element) {
                    list.remove(at);
                }
            }
            Self::Many(tree) => _ = tree.remove(element),
        }
        self.shrink();
    }

    pub(super) fn pop_first(&mut self) -> Option<T> {
        let first = match self {
            Self::Few(list) if list.is_empty() => None,
            Self::Few(list) => Some(list.remove(0)),
            Self::Many(tree) => tree.pop_first(),
        };
        self.shrink();
        first
    }

    pub(super) fn first(&self) -> Option<&T> {
        match self {
            Self::Few(list) => list.first(),
            Self::Many(tree) => tree.first(),
        }
    }

    /// From the first to the last.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let (few, many) = match self {
            Self::Few(list) => (Some(list), None),
            Self::Many(tree) => (None, Some(tree)),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    /// A tree becomes a list again once it has so few that it does not grow into a tree at the next one.
    fn shrink(&mut self) {
        if let Self::Many(tree) = self
            && tree.len() <= FEW / 2
        {
            *self = Self::Few(std::mem::take(tree).into_iter().collect());
        }
    }

    #[cfg(test)]
    pub(super) fn contains(&self, element: &T) -> bool {
        self.iter().any(|known| known == element)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Insert(u8),
        Remove(u8),
        Pop,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..40_u8).prop_map(Step::Insert),
            1 => (0..40_u8).prop_map(Step::Remove),
            1 => Just(Step::Pop),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn it_is_the_set_of_the_standard_library(steps in steps()) {
            let (mut sorted, mut set) = (Sorted::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(element) => {
                        sorted.insert(element);
                        set.insert(element);
                    }
                    Step::Remove(element) => {
                        sorted.remove(&element);
                        set.remove(&element);
                    }
                    Step::Pop => prop_assert_eq!(sorted.pop_first(), set.pop_first()),
                }
                prop_assert_eq!(sorted.first(), set.first());
                prop_assert!(sorted.iter().eq(&set));
            }
        }
    }

    #[test]
    fn many_are_a_tree_and_few_a_list_with_no_room_to_spare() {
        let mut sorted = Sorted::default();
        for element in 0..FEW {
            sorted.insert(element);
        }
        assert!(matches!(&sorted, Sorted::Few(list) if list.capacity() == FEW));
        sorted.insert(FEW);
        assert!(matches!(sorted, Sorted::Many(_)));
        while sorted.len() > FEW / 2 + 1 {
            sorted.pop_first();
        }
        assert!(matches!(sorted, Sorted::Many(_)));
        sorted.remove(&FEW);
        assert!(matches!(&sorted, Sorted::Few(list) if list.len() == FEW / 2));
    }
}
