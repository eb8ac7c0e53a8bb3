//! Small typed indices into the tables of a plan and of a kernel, and sets of tile axes.

use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);
        impl $name {
            /// The id of the `index`-th entry of its table (saturating: tables are far smaller than `u32::MAX`).
            pub fn new(index: usize) -> Self { Self(u32::try_from(index).unwrap_or(u32::MAX)) }
            /// Position in its table.
            pub fn index(self) -> usize { self.0 as usize }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}{}", stringify!($name), self.0) }
        }
    )*};
}

ids! {
    /// A named integer parameter of a plan (`size` or `tile`): [`crate::kernel::Param`].
    ParamId,
    /// A run-time extent of a plan such as `B` or `T[b]`: [`crate::kernel::Extent`].
    ExtentId,
    /// A buffer of a plan: [`crate::kernel::Buffer`].
    BufferId,
    /// A kernel of a plan: [`crate::kernel::Kernel`].
    KernelId,
    /// An integer scalar of a kernel: [`crate::kernel::Var`].
    VarId,
    /// A tile axis of a kernel: [`crate::kernel::Axis`].
    AxisId,
    /// A tile value of a kernel in static single assignment: [`crate::kernel::Value`].
    ValueId,
    /// A mutable on-chip table of a kernel: [`crate::kernel::Scratch`].
    ScratchId,
}

/// A set of tile axes of one kernel. A kernel has at most [`AxisSet::CAPACITY`] axes (the verifier and the parser check it).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AxisSet(u64);

impl AxisSet {
    /// The largest number of axes one kernel can declare.
    pub const CAPACITY: usize = 64;
    /// No axis: the shape of a rank-0 tile.
    pub const EMPTY: Self = Self(0);

    /// The set of all axes that a kernel can have.
    pub const ALL: Self = Self(u64::MAX);

    /// The set of one axis.
    pub fn one(axis: AxisId) -> Self {
        Self(1u64.checked_shl(axis.0).unwrap_or(0))
    }
    /// Is the axis a member?
    pub fn contains(self, axis: AxisId) -> bool {
        self.0 & Self::one(axis).0 != 0
    }
    /// Are all members of `other` members of this set?
    pub fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
    /// Members of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Members of both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// Members of this set that are not members of `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// Adds one axis.
    pub fn insert(&mut self, axis: AxisId) {
        *self = self.union(Self::one(axis));
    }
    /// Has it no member?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Number of members.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }
    /// Members in the order of their declaration, which is the order of the dimensions of a tile in memory.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = AxisId> {
        (0..64u32).filter(move |i| self.0 >> i & 1 == 1).map(AxisId)
    }
}

impl FromIterator<AxisId> for AxisSet {
    fn from_iter<I: IntoIterator<Item = AxisId>>(axes: I) -> Self {
        axes.into_iter().fold(Self::EMPTY, |set, axis| set.union(Self::one(axis)))
    }
}

impl From<AxisId> for AxisSet {
    fn from(axis: AxisId) -> Self {
        Self::one(axis)
    }
}

impl fmt::Debug for AxisSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
