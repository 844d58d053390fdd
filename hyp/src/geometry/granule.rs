//! Granules and lookup levels.

/// A translation granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granule {
    /// 4 KiB pages.
    K4,
    /// 16 KiB pages.
    K16,
    /// 64 KiB pages.
    K64,
}

impl Granule {
    /// Binary logarithm of the page size.
    #[inline]
    #[must_use]
    pub const fn shift(self) -> u8 {
        match self {
            Granule::K4 => 12,
            Granule::K16 => 14,
            Granule::K64 => 16,
        }
    }

    /// Page size in bytes; also the size of a table.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// Address bits that one level resolves; a table has 8 bytes for each entry.
    #[inline]
    #[must_use]
    pub const fn stride(self) -> u8 {
        self.shift() - 3
    }

    /// Entries of a table.
    #[inline]
    #[must_use]
    pub const fn entries(self) -> u16 {
        1 << self.stride()
    }
}

/// A lookup level, -1 to 3; `Level::PAGE` holds pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(i8);

impl Level {
    /// Level 3, the last.
    pub const PAGE: Level = Level(3);

    /// The level of this number, -1 to 3, or `None`.
    #[must_use]
    pub const fn new(number: i8) -> Option<Level> {
        if number >= -1 && number <= 3 {
            Some(Level(number))
        } else {
            None
        }
    }

    /// The level's number.
    #[must_use]
    pub const fn number(self) -> i8 {
        self.0
    }

    /// The level that the tables of this one lead to; level 3 leads nowhere.
    #[inline]
    #[must_use]
    pub const fn below(self) -> Level {
        if self.0 < 3 {
            Level(self.0 + 1)
        } else {
            Level::PAGE
        }
    }

    /// Number of levels from this one down to `lower`.
    #[inline]
    #[must_use]
    pub const fn distance_to(self, lower: Level) -> u8 {
        (lower.0 - self.0).unsigned_abs()
    }
}
