//! What the entry that decides over an address holds. Clauses Y2 and Y5.

use super::error::Error;
use super::space::Space;
use super::{Stage2, check};
use crate::addr::{Ipa, Pa};
use crate::cpu::Cpu;
use crate::descriptor::{Absence, Descriptor, Kind, MemoryType, Prot};
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use core::num::NonZeroU8;

/// The entry that decides over an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its level.
    pub level: Level,
    /// What it holds.
    pub entry: Entry,
}

/// What an entry that is no table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Empty,
    /// Who owns what would be here.
    Annotated(NonZeroU8),
    /// A leaf that was made invalid for a while.
    Softened(Leaf),
    /// A leaf.
    Leaf(Leaf),
}

/// What a leaf says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// PA of its first byte.
    pub pa: Pa,
    /// Permissions.
    pub prot: Prot,
    /// Memory type.
    pub memory: MemoryType,
    /// Bits for software.
    pub software: u8,
    /// Whether its access flag is set.
    pub young: bool,
    /// Whether hardware has recorded a store; false where it records none.
    pub dirty: bool,
}

impl Stage2<'_> {
    /// The entry that decides over an address. Clauses Y1 and Y5.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`.
    pub fn leaf<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
    ) -> Result<Decision, Error> {
        self.with_guest(cpu, |guest, cpu| {
            check::address(&guest.space.geometry, ipa)?;
            let (run, found) = guest
                .space
                .tables
                .descend_to(cpu.platform(), ipa, Level::PAGE);
            Ok(Decision {
                level: run.table().level,
                entry: guest.space.entry(found),
            })
        })
    }
}

impl Space {
    /// The leaf that covers an address. Clause Y2.
    pub(super) fn leaf_at<P: Platform>(&self, platform: &P, ipa: Ipa) -> Result<Descriptor, Error> {
        let (run, found) = self.tables.descend_to(platform, ipa, Level::PAGE);
        match found.kind(run.table().level) {
            Kind::Leaf => Ok(found),
            Kind::Table | Kind::Invalid => Err(Error::NotMapped(ipa)),
        }
    }

    fn entry(&self, found: Descriptor) -> Entry {
        match found.absence() {
            Some(Absence::Empty) => Entry::Empty,
            Some(Absence::Owned(owner)) => Entry::Annotated(owner),
            Some(Absence::Soft) => Entry::Softened(self.content(found)),
            None => Entry::Leaf(self.content(found)),
        }
    }

    fn content(&self, leaf: Descriptor) -> Leaf {
        Leaf {
            pa: self.format.address(leaf),
            prot: leaf.prot(),
            memory: leaf.memory(),
            software: leaf.software(),
            young: leaf.is_young(),
            dirty: self.geometry.hardware_dirty() && leaf.is_dirty(),
        }
    }
}
