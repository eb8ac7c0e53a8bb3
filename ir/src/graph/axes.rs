//! Axes, their domains and extents.

use smallvec::SmallVec;
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);
        impl $name {
            /// Position in the table that owns it.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
pub(crate) use id;

id!(
    /// Names a [`Domain`] of one graph.
    DomainId
);
id!(
    /// Names an [`Axis`] of one graph.
    AxisId
);

/// An index variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Axis {
    /// For people only: no pass may look at it.
    pub name: Box<str>,
    /// The range over which it runs.
    pub domain: DomainId,
}

/// What a domain is for. Roles matter to causality and to decoding, not to the value of a term.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// No meaning beyond its extent.
    Plain,
    /// Sequence position: causality, streaming and raggedness refer to it.
    Time,
}

/// A range `0 .. extent` that several axes may share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    /// For people only.
    pub name: Box<str>,
    /// How many positions it has.
    pub extent: Extent,
    /// What it is for.
    pub role: Role,
}

/// How many positions a domain has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Extent {
    /// A number known when the layer is compiled.
    Const(i64),
    /// Given by the shapes of the inputs when the layer runs.
    Runtime,
    /// Given when the layer runs, one for each position of the batch axis: `T[b]`.
    Ragged(AxisId),
    /// `floor((mul * |base| + add) / div)`, with `div >= 1`.
    Derived {
        /// The domain from whose extent it is derived.
        base: DomainId,
        /// Multiplier.
        mul: i64,
        /// Addend.
        add: i64,
        /// Positive divisor.
        div: i64,
    },
}

/// A sorted set of axes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct AxisSet(SmallVec<[AxisId; 8]>);

impl AxisSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Is `axis` a member?
    #[must_use]
    pub fn contains(&self, axis: AxisId) -> bool {
        self.0.binary_search(&axis).is_ok()
    }

    /// Adds one axis.
    pub fn insert(&mut self, axis: AxisId) {
        if let Err(at) = self.0.binary_search(&axis) {
            self.0.insert(at, axis);
        }
    }

    /// Removes one axis if it is there.
    pub fn remove(&mut self, axis: AxisId) {
        if let Ok(at) = self.0.binary_search(&axis) {
            self.0.remove(at);
        }
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        for &a in &other.0 {
            self.insert(a);
        }
    }

    /// Have the two sets no member in common?
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        !self.iter().any(|a| other.contains(a))
    }

    /// Are all members also in `other`?
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|a| other.contains(a))
    }

    /// Members in increasing order of id.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = AxisId> + ExactSizeIterator + '_ {
        self.0.iter().copied()
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Has it no members?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<AxisId> for AxisSet {
    fn from_iter<I: IntoIterator<Item = AxisId>>(iter: I) -> Self {
        let mut set = Self::new();
        for a in iter {
            set.insert(a);
        }
        set
    }
}

impl fmt::Debug for AxisSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|a| a.0)).finish()
    }
}
