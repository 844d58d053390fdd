//! EL2's own stage 1, or Hyp mode's: what the hypervisor itself executes in. Section E
//! of the contract.
//!
//! A live entry never changes, so that ranges in use never fault: map adds what is not
//! mapped and refuses what is mapped otherwise, unmap refuses to cut a block. All that
//! can be checked is checked before anything is touched. Operations take `&self` and
//! the context of the CPU that executes them, and exclude each other by a lock.
//!
//! Left out: HCR_EL2.E2H = 1, whose regime is EL2&0 and has ASIDs and two ranges; when
//! the MMU of EL2 goes on or off, which is the hypervisor's matter.

mod geometry;
mod map;
mod mapping;
mod space;
mod unmap;

pub use geometry::{Configuration, Geometry};
pub use mapping::Mapping;

use crate::addr::{IpaRange, Pa, Va};
use crate::cpu::{Cpu, OwnRegisters};
use crate::descriptor::el2::{Attributes, AttributesError};
use crate::descriptor::{Kind, MemoryType, Prot};
use crate::geometry::{GeometryError, Level, RootError};
use crate::invalidate::Invalidation;
use crate::pages::PageSource;
use crate::platform::{Guarded, Platform};
use crate::tables::Tables;
use map::Stopped;
use space::Space;

/// Why a range of VAs is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// It holds no byte.
    Empty,
    /// This address or size is not a multiple of the granule.
    Misaligned(u64),
    /// From this address on, the length wraps around.
    Wraps(u64),
    /// It ends here, past the VA size.
    BeyondVaSize(Va),
}

/// Why EL2's tables cannot be created. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// They exist.
    Exists,
    /// The configuration is illegal.
    Configuration(GeometryError),
    /// The page source has no page.
    NoMemory,
    /// Pages of the source have this size in bytes, which is not the granule.
    PageSize(u64),
    /// The source lent a page that cannot be a root; it went back.
    Root(RootError),
}

/// Why nothing, or not everything, was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// The tables do not exist. Nothing has changed.
    NoSpace,
    /// The range is refused. Nothing has changed.
    Range(RangeError),
    /// The physical range ends here, past the output size. Nothing has changed.
    BeyondOutputSize(Pa),
    /// No leaf can have these attributes. Nothing has changed.
    Attributes(AttributesError),
    /// This address is mapped otherwise. Nothing has changed.
    Mapped(Va),
    /// The page cache ran short. The first `done` bytes are mapped, nothing else has
    /// changed, and map can be called for the rest.
    NoPages {
        /// Bytes mapped, up to an entry boundary.
        done: u64,
        /// Pages that the next leaf needs.
        need: u8,
    },
}

/// Why nothing was unmapped. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmapError {
    /// The tables do not exist.
    NoSpace,
    /// The range is refused.
    Range(RangeError),
    /// This end of the range lies inside of a block.
    CutsBlock(Va),
}

/// Why there is no answer about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// The tables do not exist.
    NoSpace,
    /// It is past the VA size.
    BeyondVaSize(Va),
}

/// The entry that decides over an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its level.
    pub level: Level,
    /// What it maps, if anything.
    pub leaf: Option<Leaf>,
}

/// What a leaf says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Physical address of its first byte.
    pub pa: Pa,
    /// Permissions.
    pub prot: Prot,
    /// Memory type.
    pub memory: MemoryType,
    /// Bits for software, 0 to 15.
    pub software: u8,
}

/// The place of EL2's own tables, whether or not they exist.
#[derive(Debug, Default)]
pub struct El2 {
    space: Guarded<Option<Space>>,
}

impl El2 {
    /// A place without tables.
    #[must_use]
    pub const fn new() -> El2 {
        El2 {
            space: Guarded::new(None),
        }
    }

    /// Creates tables that map nothing. Clauses C1, C2 and C4.
    ///
    /// # Errors
    /// `CreateError`; nothing has changed then, and no page is held.
    pub fn create<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        configuration: &Configuration,
    ) -> Result<(), CreateError> {
        self.with(cpu.platform(), |slot| {
            if slot.is_some() {
                return Err(CreateError::Exists);
            }
            let geometry = Geometry::new(configuration).map_err(CreateError::Configuration)?;
            let page_bytes = cpu.pages().page_bytes();
            if page_bytes != geometry.shape().granule().bytes() {
                return Err(CreateError::PageSize(page_bytes));
            }
            *slot = Some(new_space(cpu, geometry)?);
            Ok(())
        })
    }

    /// Maps what of a range is not mapped, with the largest leaves that fit. Clauses
    /// M1 to M15 as E4 has them.
    ///
    /// # Errors
    /// `MapError`, each with the state that it leaves.
    pub fn map<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        mapping: &Mapping,
    ) -> Result<(), MapError> {
        self.with(cpu.platform(), |slot| {
            let space = slot.as_ref().ok_or(MapError::NoSpace)?;
            let request = mapping::check(&space.geometry, mapping)?;
            map::map(cpu, space, &request).map_err(|stopped| match stopped {
                Stopped::Mapped { at } => MapError::Mapped(Va::new(at.raw())),
                Stopped::NoPages { at, need } => MapError::NoPages {
                    done: request.range.split_at(at).0.bytes(),
                    need,
                },
            })
        })
    }

    /// Unmaps exactly a range, which may be mapped in part or not at all. Clauses U1
    /// to U5, U8 and E5. The caller must not be using the range.
    ///
    /// # Errors
    /// `UnmapError`; nothing has changed then.
    pub fn unmap<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        va: Va,
        bytes: u64,
    ) -> Result<(), UnmapError> {
        self.with(cpu.platform(), |slot| {
            let space = slot.as_ref().ok_or(UnmapError::NoSpace)?;
            let range =
                mapping::check_range(&space.geometry, va, bytes).map_err(UnmapError::Range)?;
            let mut ends = [range.start(), range.end()].into_iter();
            if let Some(end) = ends.find(|&end| space.cuts_block(cpu.platform(), end)) {
                return Err(UnmapError::CutsBlock(Va::new(end.raw())));
            }
            let mut pending = Invalidation::new();
            unmap::remove(cpu, space, range, &mut pending);
            pending.flush(cpu, space);
            Ok(())
        })
    }

    /// Destroys the tables and gives all their pages back; without effect where none
    /// exist. No CPU may translate by them: its MMU is off for EL2, or it has other
    /// tables. Clauses F1, F2 and E2.
    pub fn free<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>) {
        self.with(cpu.platform(), |slot| {
            let Some(space) = slot.take() else { return };
            let everything = IpaRange::up_to(Va::new(space.geometry.va_limit()).as_input());
            let mut pending = Invalidation::new();
            unmap::remove(cpu, &space, everything, &mut pending);
            // Whatever was in the tables: there is no ASID to tell the next ones by.
            pending.add_all();
            pending.flush(cpu, &space);
            // No walk may start from the root once it is given back.
            cpu.unload_own(space.registers);
            let order = space.tables.shape.root_order();
            cpu.pages().release(space.tables.root, order);
        });
    }

    /// Makes this CPU's registers select the tables. Returns whether there are any;
    /// where not, nothing has changed. Where the MMU is on for EL2, what is executing
    /// must be mapped alike before and after, and TLBs may still hold what tables that
    /// were not freed here mapped. Clause E2.
    pub fn load<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>) -> bool {
        // With the tables held, so that they are not freed in between.
        self.with(cpu.platform(), |slot| {
            let Some(space) = slot else { return false };
            cpu.load_own(space.registers);
            true
        })
    }

    /// The entry that decides over an address. Clause Y5.
    ///
    /// # Errors
    /// `EntryError`.
    pub fn leaf<P: Platform>(&self, platform: &P, va: Va) -> Result<Entry, EntryError> {
        self.with(platform, |slot| {
            let space = slot.as_ref().ok_or(EntryError::NoSpace)?;
            if va.raw() >= space.geometry.va_limit() {
                return Err(EntryError::BeyondVaSize(va));
            }
            let va = va.as_input();
            let (run, entry) = space.tables.descend_to(platform, va, Level::PAGE);
            let level = run.table().level;
            let addresses = &space.tables.addresses;
            let attributes = Attributes::of(entry, addresses);
            let leaf = (entry.kind(level) == Kind::Leaf).then(|| Leaf {
                pa: addresses.address(entry),
                prot: attributes.prot(),
                memory: attributes.memory(),
                software: attributes.software(),
            });
            Ok(Entry { level, leaf })
        })
    }

    /// The registers that select the tables, if there are any.
    pub fn registers<P: Platform>(&self, platform: &P) -> Option<OwnRegisters> {
        self.with(platform, |slot| slot.as_ref().map(|space| space.registers))
    }

    /// Levels below the root, if there is one: the pages that a mapping of one page
    /// may need, which the page cache should hold at least.
    pub fn levels_below_root<P: Platform>(&self, platform: &P) -> Option<u8> {
        self.with(platform, |slot| {
            slot.as_ref()
                .map(|space| space.tables.shape.levels_below_root())
        })
    }

    fn with<P: Platform, R>(
        &self,
        platform: &P,
        action: impl FnOnce(&mut Option<Space>) -> R,
    ) -> R {
        self.space.with(|| platform.wait(), action)
    }
}

fn new_space<P: Platform, S: PageSource>(
    cpu: &Cpu<'_, P, S>,
    geometry: Geometry,
) -> Result<Space, CreateError> {
    let order = geometry.shape().root_order();
    let root = cpu.pages().allocate(order).ok_or(CreateError::NoMemory)?;
    let registers = geometry.registers(root).map_err(|error| {
        cpu.pages().release(root, order);
        CreateError::Root(error)
    })?;
    let coherent_walks = geometry.coherent_walks();
    let tables = Tables::new(cpu.platform(), *geometry.shape(), root, coherent_walks);
    Ok(Space {
        geometry,
        tables,
        registers,
    })
}
