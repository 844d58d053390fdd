//! Contiguous groups (section O): aligned entries of one table, each with the contiguous
//! bit, for which a TLB may hold one entry.
//!
//! Such an entry may come from any member. So while some members are changed and others
//! are not, a TLB may still take the old meaning of all of them from those that are left,
//! whatever was invalidated. It leaves out machines that do not use the hint: see R4.

use crate::descriptor::{ATTRIBUTES, CONTIGUOUS};
use crate::ledger::{Format, Place, State, Tables};
use crate::verdict::{Class, Finding};
use crate::walk::Entry;

/// Bits 58:55, which no TLB holds.
const SOFTWARE: u64 = 0b1111 << 55;

/// A group, by its first entry.
#[derive(Clone, Copy, Debug)]
struct Group {
    at: u64,
    place: Place,
    /// A member that had the bit was broken or changed.
    broken: bool,
}

/// The groups that an operation touches.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    touched: Vec<Group>,
    /// So many of them were uniform when that was last asked for, and not touched since.
    settled: usize,
}

/// The region of the group that a leaf's entry belongs to: its first address and its
/// size. `None` where the leaf does not have the bit or the level ignores it.
pub(super) fn region(format: &Format, place: Place, leaf: u64) -> Option<(u64, u64)> {
    if leaf & CONTIGUOUS == 0 {
        return None;
    }
    let bytes = format.entry_bytes(place.level) << format.group_bits(place.level)?;
    Some((place.ipa & !(bytes - 1), bytes))
}

impl Groups {
    pub(super) fn begin(&mut self) {
        self.touched.clear();
        self.settled = 0;
    }

    /// A leaf with the bit, at this address, is broken or made.
    pub(super) fn touch(&mut self, format: &Format, at: u64, place: Place, broken: bool) {
        let Some(bits) = format.group_bits(place.level) else {
            return;
        };
        let index = at / 8 % (1 << bits);
        let group = Group {
            at: at - 8 * index,
            place: Place {
                ipa: place.ipa - index * format.entry_bytes(place.level),
                ..place
            },
            broken,
        };
        match self.touched[self.settled..].last_mut() {
            Some(last) if last.at == group.at && last.place == group.place => {
                last.broken |= broken;
            }
            _ => self.touched.push(group),
        }
    }

    /// Whether some members of a group are changed and others are not.
    pub(super) fn is_any_open(&mut self, tables: &Tables) -> bool {
        let open = |group: &Group| fault(group, tables).is_some();
        let mut rest = self.touched[self.settled..].iter();
        self.settled += rest.position(open).unwrap_or_else(|| {
            // All of them are settled.
            self.touched.len() - self.settled
        });
        self.settled < self.touched.len()
    }

    /// The operation is over: the members of each group are alike.
    ///
    /// # Errors
    /// Those of one are not.
    pub(super) fn end(&mut self, tables: &Tables) -> Result<(), Finding> {
        if !self.is_any_open(tables) {
            return Ok(());
        }
        let group = self.touched[self.settled];
        let why = fault(&group, tables).unwrap_or_default();
        let (class, rule, done) = if group.broken {
            (Class::BreakBeforeMake, "O2", "is changed in part")
        } else {
            (Class::WrongAttributes, "O1", "is made")
        };
        let Place { vm, level, ipa } = group.place;
        let what = format!("a contiguous group of level {level} {done}: {why}");
        Err(Finding::new(class, rule, what).at(vm, ipa, 0))
    }
}

/// Why a TLB may not hold a group as one entry, where some member has the bit.
fn fault(group: &Group, tables: &Tables) -> Option<&'static str> {
    let number = tables.number(group.at)?;
    let reachable = matches!(tables.state(number), State::Root | State::Linked { .. });
    if !reachable || tables.entry_place(number, group.at) != group.place {
        return None;
    }
    let (format, level) = (tables.format(), group.place.level);
    let (bits, entry) = (format.group_bits(level)?, format.entry_bytes(level));
    let bytes = entry << bits;
    let index = ((group.at - tables.address(number)) / 8) as usize;
    let contents = tables.contents(number);
    let members = contents.get(index..)?.get(..1 << bits)?;
    let hinted = |descriptor: u64| match tables.entry(level, descriptor) {
        Entry::Leaf { pa } if descriptor & CONTIGUOUS != 0 => Some(pa),
        _ => None,
    };
    if !members.iter().any(|&member| hinted(member).is_some()) {
        return None;
    }
    let Some(first) = hinted(members[0]) else {
        return Some("some of its entries have the contiguous bit, and others do not");
    };
    let end = group.place.ipa.checked_add(bytes);
    if !first.is_multiple_of(bytes) {
        return Some("it is not aligned to its size in physical memory");
    }
    if end.is_none_or(|end| end > 1 << format.input_bits()) {
        return Some("it reaches beyond the size of input addresses");
    }
    let mut others = members.iter().zip(0..);
    others.find_map(|(&member, index)| match hinted(member) {
        None => Some("some of its entries have the contiguous bit, and others do not"),
        // Type and attributes are those of the first, and the address follows it.
        Some(pa) if pa != first + index * entry => Some("its memory is not contiguous"),
        Some(_) if differs(members[0], member) => Some("its attributes differ"),
        Some(_) => None,
    })
}

/// Whether two leaves of a level differ in more than address and software bits.
fn differs(one: u64, two: u64) -> bool {
    (one ^ two) & ATTRIBUTES & !SOFTWARE != 0
}
