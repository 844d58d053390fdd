//! A guest's Stage-2 address space: create, map, unmap, free.
//!
//! All that can be checked is checked before anything is touched, so an error
//! leaves nothing changed; map alone can stop in the middle, and says where.
//! Operations take `&self` and the context of the CPU that executes them, and
//! exclude each other by a lock.

mod invalidate;
mod map;
mod space;
mod unmap;

use crate::addr::{Ipa, IpaRange, Pa, PaRange};
use crate::cpu::{Cpu, Registers};
use crate::descriptor::{Attributes, AttributesError, Format, MemoryType, Prot};
use crate::geometry::{Configuration, Geometry, GeometryError, RootError};
use crate::pages::PageSource;
use crate::platform::{Guarded, Platform};
use crate::vmid::Vmid;
use invalidate::Invalidation;
use map::{Request, Stopped};
use space::Space;

/// What to map.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// First IPA.
    pub ipa: Ipa,
    /// First PA.
    pub pa: Pa,
    /// Length in bytes.
    pub bytes: u64,
    /// Permissions.
    pub prot: Prot,
    /// Memory type.
    pub memory: MemoryType,
    /// Bits for software in each leaf, at most 4.
    pub software: u8,
    /// Write pages where blocks would fit.
    pub pages_only: bool,
}

/// Why a range of IPAs is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// It holds no byte.
    Empty,
    /// This address or size is not a multiple of the granule.
    Misaligned(u64),
    /// From this address on, the length wraps around.
    Wraps(u64),
    /// It ends here, past the IPA size.
    BeyondIpaSize(Ipa),
}

/// Why an address space cannot be created. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// It exists.
    Exists,
    /// The configuration is illegal.
    Configuration(GeometryError),
    /// The machine's VMIDs are narrower than this one.
    Vmid(Vmid),
    /// The page source has no aligned run of `1 << order` pages.
    NoMemory {
        /// Binary logarithm of the pages of the root.
        order: u8,
    },
    /// Pages of the source have this size in bytes, which is not the granule.
    PageSize(u64),
    /// The source lent pages that cannot be a root; they went back.
    Root(RootError),
}

/// Why nothing, or not everything, was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// The address space does not exist. Nothing has changed.
    NoSpace,
    /// The range is refused. Nothing has changed.
    Range(RangeError),
    /// The physical range ends here, past the output size. Nothing has changed.
    BeyondOutputSize(Pa),
    /// No leaf can have these attributes. Nothing has changed.
    Attributes(AttributesError),
    /// The physical range overlaps this one, which no guest may be given.
    /// Nothing has changed.
    Denied(PaRange),
    /// The page cache ran short. The first `done` bytes are mapped, nothing else
    /// has changed, and map can be called for the rest.
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
    /// The address space does not exist.
    NoSpace,
    /// The range is refused.
    Range(RangeError),
    /// The page cache holds fewer pages than splitting the cut blocks needs.
    NoPages {
        /// Pages that it needs.
        need: u8,
    },
}

/// The place of a guest's address space, whether or not one exists.
#[derive(Debug, Default)]
pub struct Stage2<'a> {
    space: Guarded<Option<Space<'a>>>,
}

impl<'a> Stage2<'a> {
    /// A place without an address space.
    #[must_use]
    pub const fn new() -> Stage2<'a> {
        Stage2 {
            space: Guarded::new(None),
        }
    }

    /// Creates an empty address space with this VMID, whose mappings never reach
    /// the physical ranges in `denied`. Clauses C1 to C4.
    ///
    /// # Errors
    /// `CreateError`; nothing has changed then, and no page is held.
    pub fn create<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        configuration: &Configuration,
        vmid: Vmid,
        denied: &'a [PaRange],
    ) -> Result<(), CreateError> {
        self.with(cpu.platform(), |slot| {
            if slot.is_some() {
                return Err(CreateError::Exists);
            }
            let geometry = Geometry::new(configuration).map_err(CreateError::Configuration)?;
            let page_bytes = cpu.pages().page_bytes();
            if page_bytes != geometry.granule().bytes() {
                return Err(CreateError::PageSize(page_bytes));
            }
            let vmid_field = geometry.vmid_field(vmid).ok_or(CreateError::Vmid(vmid))?;
            *slot = Some(new_space(cpu, geometry, vmid_field, denied)?);
            Ok(())
        })
    }

    /// Maps a range with the largest leaves that fit. Clauses M1 to M15.
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
            let request = check_mapping(space, mapping)?;
            map::map(cpu, space, &request).map_err(|Stopped { at, need }| MapError::NoPages {
                done: request.range.split_at(at).0.bytes(),
                need,
            })
        })
    }

    /// Unmaps exactly a range, splitting the blocks that it cuts. Clauses U1 to
    /// U8.
    ///
    /// # Errors
    /// `UnmapError`; nothing has changed then.
    pub fn unmap<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), UnmapError> {
        self.with(cpu.platform(), |slot| {
            let space = slot.as_ref().ok_or(UnmapError::NoSpace)?;
            check_bytes(space, &[ipa.raw(), bytes], bytes).map_err(UnmapError::Range)?;
            let range =
                IpaRange::new(ipa, bytes).ok_or(UnmapError::Range(RangeError::Wraps(ipa.raw())))?;
            check_ipa_size(space, range).map_err(UnmapError::Range)?;
            unmap::unmap(cpu, space, range).map_err(|need| UnmapError::NoPages { need })
        })
    }

    /// Destroys the address space and gives all its pages back; without effect
    /// where none exists. No other CPU may have it loaded. Clauses F1 and F2.
    pub fn free<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>) {
        self.with(cpu.platform(), |slot| {
            let Some(space) = slot.take() else { return };
            let mut pending = Invalidation::new();
            unmap::remove(cpu, &space, space.geometry.ipa_space(), &mut pending);
            // Whatever was in the tables: the VMID may be used again.
            pending.add_all();
            pending.flush(cpu, &space);
            // No walk may start from the root once it is given back.
            cpu.unload(space.registers);
            cpu.pages()
                .release(space.root, space.geometry.shape().root_order());
        });
    }

    /// Makes this CPU's registers select the address space. Returns whether
    /// there is one; where not, nothing has changed. Clause A2.
    pub fn load<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>) -> bool {
        // With the space held, so that it is not freed in between.
        self.with(cpu.platform(), |slot| {
            let Some(space) = slot else { return false };
            cpu.load(space.registers);
            true
        })
    }

    /// Answers a TLB conflict abort on the address space, which FEAT_BBM at level 2
    /// permits while a block and its table are exchanged: nothing under its VMID is
    /// cached any more. Returns whether there is one; where not, nothing has changed.
    pub fn conflict<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>) -> bool {
        self.with(cpu.platform(), |slot| {
            let Some(space) = slot else { return false };
            let mut pending = Invalidation::new();
            pending.add_all();
            pending.flush(cpu, space);
            true
        })
    }

    /// The registers that select the address space, if there is one.
    pub fn registers<P: Platform>(&self, platform: &P) -> Option<Registers> {
        self.with(platform, |slot| slot.as_ref().map(|space| space.registers))
    }

    /// Levels below the root, if there is one: the pages that a mapping of one
    /// page may need, which the page cache should hold at least.
    pub fn levels_below_root<P: Platform>(&self, platform: &P) -> Option<u8> {
        self.with(platform, |slot| {
            slot.as_ref()
                .map(|space| space.geometry.shape().levels_below_root())
        })
    }

    fn with<P: Platform, R>(
        &self,
        platform: &P,
        action: impl FnOnce(&mut Option<Space<'a>>) -> R,
    ) -> R {
        self.space.with(|| platform.wait(), action)
    }
}

fn new_space<'a, P: Platform, S: PageSource>(
    cpu: &Cpu<'_, P, S>,
    geometry: Geometry,
    vmid_field: u64,
    denied: &'a [PaRange],
) -> Result<Space<'a>, CreateError> {
    let order = geometry.shape().root_order();
    let root = cpu
        .pages()
        .allocate(order)
        .ok_or(CreateError::NoMemory { order })?;
    let base_field = geometry.base_field(root).map_err(|error| {
        cpu.pages().release(root, order);
        CreateError::Root(error)
    })?;
    let registers = Registers {
        vtcr: geometry.vtcr(),
        vttbr: base_field | vmid_field,
    };
    let format = Format::new(&geometry);
    let space = Space {
        geometry,
        format,
        root,
        registers,
        denied,
    };
    cpu.platform().zero(root, geometry.shape().root_bytes());
    space.clean(cpu.platform(), root, geometry.shape().root_bytes());
    // Before VTTBR_EL2 can name it, the root reads zero for every walker.
    space.barrier(cpu.platform());
    Ok(space)
}

/// Clauses M2 to M8, in their order.
fn check_mapping(space: &Space<'_>, mapping: &Mapping) -> Result<Request, MapError> {
    let Mapping {
        ipa,
        pa,
        bytes,
        prot,
        memory,
        software,
        pages_only,
    } = *mapping;
    check_bytes(space, &[ipa.raw(), pa.raw(), bytes], bytes).map_err(MapError::Range)?;
    let wraps = |address| MapError::Range(RangeError::Wraps(address));
    let range = IpaRange::new(ipa, bytes).ok_or(wraps(ipa.raw()))?;
    let target = PaRange::new(pa, bytes).ok_or(wraps(pa.raw()))?;
    check_ipa_size(space, range).map_err(MapError::Range)?;
    if target.end().raw() > space.geometry.shape().pa_limit() {
        return Err(MapError::BeyondOutputSize(target.end()));
    }
    let attributes =
        Attributes::new(&space.format, prot, memory, software).map_err(MapError::Attributes)?;
    match space.denied.iter().find(|denied| denied.overlaps(target)) {
        Some(denied) => Err(MapError::Denied(*denied)),
        None => Ok(Request {
            range,
            pa,
            attributes,
            pages_only,
        }),
    }
}

/// Clauses M2 and M3, U2 and U3.
fn check_bytes(space: &Space<'_>, values: &[u64], bytes: u64) -> Result<(), RangeError> {
    if bytes == 0 {
        return Err(RangeError::Empty);
    }
    let granule = space.geometry.granule().bytes();
    match values.iter().find(|&value| value % granule != 0) {
        Some(value) => Err(RangeError::Misaligned(*value)),
        None => Ok(()),
    }
}

/// Clauses M5 and U5.
fn check_ipa_size(space: &Space<'_>, range: IpaRange) -> Result<(), RangeError> {
    if range.end().raw() > space.geometry.ipa_limit() {
        return Err(RangeError::BeyondIpaSize(range.end()));
    }
    Ok(())
}
