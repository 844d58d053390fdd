//! Addresses and ranges of addresses, 52 bits and more from the start.
//!
//! `Ipa`, `Va` and `Pa` keep the address spaces apart and prove nothing else: they
//! may name memory that does not exist. `IpaRange` proves that its end does not
//! wrap around. There is no `+` on any; what could overflow is checked once,
//! where a request comes in.

macro_rules! address {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The address of this number of bytes from zero.
            #[must_use]
            pub const fn new(address: u64) -> $name {
                $name(address)
            }

            /// Bytes from zero.
            #[must_use]
            pub const fn raw(self) -> u64 {
                self.0
            }

            /// The address `bytes` further on, or `None` past the end of 64 bits.
            #[must_use]
            pub const fn checked_add(self, bytes: u64) -> Option<$name> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some($name(sum)),
                    None => None,
                }
            }

            /// The address `bytes` further on, within a range that was checked to
            /// end inside 64 bits. Never leaves it, so it never wraps around.
            #[inline]
            #[must_use]
            pub const fn forward(self, bytes: u64) -> $name {
                debug_assert!(self.0.checked_add(bytes).is_some());
                $name(self.0.wrapping_add(bytes))
            }

            /// Whether the address is a multiple of `bytes`, a power of two.
            #[inline]
            #[must_use]
            pub const fn is_aligned(self, bytes: u64) -> bool {
                self.0 & (bytes - 1) == 0
            }

            /// The multiple of `bytes`, a power of two, at or below the address.
            #[inline]
            #[must_use]
            pub const fn align_down(self, bytes: u64) -> $name {
                $name(self.0 & !(bytes - 1))
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address!(Ipa, "An intermediate physical address, in bytes.");
address!(
    Va,
    "A virtual address of EL2, in bytes. The walker takes it for an `Ipa`: one input \
     address is like the other to it."
);
address!(Pa, "A physical address, in bytes.");

impl Va {
    /// As the walker names it.
    pub(crate) const fn as_input(self) -> Ipa {
        Ipa(self.0)
    }
}

/// The IPAs from `start` up to, not including, `end`; `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpaRange {
    start: Ipa,
    end: Ipa,
}

impl IpaRange {
    /// The range of `bytes` from `start`, or `None` if it wraps around.
    #[must_use]
    pub const fn new(start: Ipa, bytes: u64) -> Option<IpaRange> {
        match start.checked_add(bytes) {
            Some(end) => Some(IpaRange { start, end }),
            None => None,
        }
    }

    /// The range from `start` up to, not including, `end`, which is not below it.
    #[inline]
    #[must_use]
    pub(crate) const fn between(start: Ipa, end: Ipa) -> IpaRange {
        debug_assert!(start.0 <= end.0);
        IpaRange { start, end }
    }

    /// The range from 0 up to, not including, `end`.
    #[must_use]
    pub const fn up_to(end: Ipa) -> IpaRange {
        IpaRange { start: Ipa(0), end }
    }

    /// First address.
    #[inline]
    #[must_use]
    pub const fn start(self) -> Ipa {
        self.start
    }

    /// First address behind the range.
    #[inline]
    #[must_use]
    pub const fn end(self) -> Ipa {
        self.end
    }

    /// Length in bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Whether no address is left.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start.0 == self.end.0
    }

    /// Whether the whole of `[start, start + bytes)` lies in the range.
    #[inline]
    #[must_use]
    pub const fn covers(self, start: Ipa, bytes: u64) -> bool {
        start.0 >= self.start.0 && start.0 <= self.end.0 && self.end.0 - start.0 >= bytes
    }

    /// The multiple of `bytes`, a power of two, that holds the last address; of an
    /// empty range the one below its start.
    #[must_use]
    pub const fn last_aligned(self, bytes: u64) -> Ipa {
        Ipa(self.end.0.saturating_sub(1)).align_down(bytes)
    }

    /// The largest part that begins and ends at multiples of `bytes`, a power of
    /// two; empty where there is none.
    #[must_use]
    pub const fn aligned_part(self, bytes: u64) -> IpaRange {
        let end = self.end.align_down(bytes);
        match self.start.0.checked_add(bytes - 1) {
            Some(up) if up & !(bytes - 1) < end.0 => IpaRange {
                start: Ipa(up & !(bytes - 1)),
                end,
            },
            _ => IpaRange {
                start: self.start,
                end: self.start,
            },
        }
    }

    /// What lies before `at` and what does not.
    #[inline]
    #[must_use]
    pub const fn split_at(self, at: Ipa) -> (IpaRange, IpaRange) {
        let at = if at.0 < self.start.0 {
            self.start
        } else if at.0 > self.end.0 {
            self.end
        } else {
            at
        };
        (
            IpaRange {
                start: self.start,
                end: at,
            },
            IpaRange {
                start: at,
                end: self.end,
            },
        )
    }
}

/// Physical memory from `start` on, `bytes` long; the end does not wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaRange {
    start: Pa,
    end: Pa,
}

impl PaRange {
    /// The range of `bytes` from `start`, or `None` if it wraps around.
    #[must_use]
    pub const fn new(start: Pa, bytes: u64) -> Option<PaRange> {
        match start.checked_add(bytes) {
            Some(end) => Some(PaRange { start, end }),
            None => None,
        }
    }

    /// First address.
    #[must_use]
    pub const fn start(self) -> Pa {
        self.start
    }

    /// First address behind the range.
    #[must_use]
    pub const fn end(self) -> Pa {
        self.end
    }

    /// Whether the two ranges share a byte.
    #[must_use]
    pub const fn overlaps(self, other: PaRange) -> bool {
        let from = if self.start.0 > other.start.0 {
            self.start.0
        } else {
            other.start.0
        };
        let to = if self.end.0 < other.end.0 {
            self.end.0
        } else {
            other.end.0
        };
        from < to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_wraps_around_is_refused() {
        assert_eq!(IpaRange::new(Ipa::new(u64::MAX - 1), 2), None);
        assert!(IpaRange::new(Ipa::new(u64::MAX - 1), 1).is_some());
    }

    #[test]
    fn splitting_outside_leaves_one_side_empty() {
        let range = IpaRange::new(Ipa::new(0x1000), 0x1000).unwrap();
        assert!(range.split_at(Ipa::new(0)).0.is_empty());
        assert!(range.split_at(Ipa::new(0x9000)).1.is_empty());
    }

    #[test]
    fn the_aligned_part_leaves_both_rests_out() {
        let part = |start, bytes| {
            let range = IpaRange::new(Ipa::new(start), bytes).unwrap();
            let part = range.aligned_part(0x1000);
            (part.start().raw(), part.bytes())
        };
        assert_eq!(part(0x1800, 0x3000), (0x2000, 0x2000));
        assert_eq!(part(0x1000, 0x1000), (0x1000, 0x1000));
        assert_eq!(part(0x1800, 0x1000).1, 0);
    }

    #[test]
    fn the_last_address_decides_over_the_last_multiple() {
        let range = IpaRange::new(Ipa::new(0x1800), 0x1800).unwrap();
        assert_eq!(range.last_aligned(0x1000), Ipa::new(0x2000));
    }

    #[test]
    fn ranges_that_only_touch_do_not_overlap() {
        let low = PaRange::new(Pa::new(0x1000), 0x1000).unwrap();
        let high = PaRange::new(Pa::new(0x2000), 0x1000).unwrap();
        assert!(!low.overlaps(high));
        assert!(low.overlaps(PaRange::new(Pa::new(0x1fff), 1).unwrap()));
    }

    #[test]
    fn an_empty_range_overlaps_nothing() {
        let all = PaRange::new(Pa::new(0), 0x1000).unwrap();
        assert!(!all.overlaps(PaRange::new(Pa::new(0x800), 0).unwrap()));
    }
}
