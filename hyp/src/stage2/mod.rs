//! A guest's Stage-2 address space.
//!
//! All that can be checked is checked before anything is touched, so an error
//! leaves nothing changed; where an operation can stop in the middle for want of
//! pages, it says how far it came. Operations take `&self` and the context of the
//! CPU that executes them, and exclude each other by a lock.
//!
//! Creation and the end are here, the operations on the tables in the files beside:
//! `map`, `annotate` (over `fill`), `unmap`, `split`, `coalesce`, `protect`, `soften`,
//! `young` (over `change`), `cache`, `leaf` and `build`. How entries change is
//! `editor`'s, of a contiguous group `contiguous`'s, and what has to be invalidated then
//! `invalidate`'s. Preconditions are in `check`.

mod annotate;
mod build;
mod cache;
mod change;
mod check;
mod coalesce;
mod contiguous;
mod editor;
mod error;
mod fill;
mod invalidate;
mod leaf;
mod map;
mod protect;
mod soften;
mod space;
mod split;
mod unmap;
mod young;

pub use error::{CreateError, Error, RangeError};
pub use leaf::{Decision, Entry, Leaf};

use crate::addr::{Ipa, IpaRange, Pa, PaRange};
use crate::cpu::{Cpu, Registers};
use crate::descriptor::{Format, MemoryType, Prot};
use crate::geometry::{Configuration, Geometry};
use crate::pages::PageSource;
use crate::platform::{Guarded, Platform};
use crate::tables::Tables;
use crate::vmid::Vmid;
use build::Built;
use editor::Editor;
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

/// An address space that exists.
#[derive(Debug)]
struct Guest<'a> {
    space: Space,
    /// Physical memory that it may not be given.
    denied: &'a [PaRange],
    /// What was built and is not linked.
    built: Option<Built>,
    /// Whether it is being destroyed (D1).
    dying: bool,
}

/// The place of a guest's address space, whether or not one exists.
#[derive(Debug, Default)]
pub struct Stage2<'a> {
    guest: Guarded<Option<Guest<'a>>>,
}

impl<'a> Stage2<'a> {
    /// A place without an address space.
    #[must_use]
    pub const fn new() -> Stage2<'a> {
        Stage2 {
            guest: Guarded::new(None),
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
            *slot = Some(Guest {
                space: new_space(cpu, geometry, vmid_field)?,
                denied,
                built: None,
                dying: false,
            });
            Ok(())
        })
    }

    /// Destroys the address space and gives all its pages back; without effect
    /// where none exists. No other CPU may have it loaded. Clauses F1 and F2.
    pub fn free<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>) {
        self.with(cpu.platform(), |slot| {
            let Some(mut guest) = slot.take() else { return };
            let space = guest.space;
            let mut editor = Editor::without_reports(cpu, &space);
            editor.discard(&mut guest.built);
            editor.remove(space.geometry.ipa_space());
            // Whatever was in the tables: the VMID may be used again.
            editor.pending.add_all();
            editor.finish();
            // No walk may start from the root once it is given back.
            cpu.unload(space.registers);
            let order = space.geometry.shape().root_order();
            cpu.pages().release(space.tables.root, order);
        });
    }

    /// Makes this CPU's registers select the address space. Clause A2.
    ///
    /// # Errors
    /// `NoSpace` or `Dying`.
    pub fn load<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>) -> Result<(), Error> {
        // With the space held, so that it is not freed in between.
        self.with_guest(cpu, |guest, cpu| {
            cpu.load(guest.space.registers);
            Ok(())
        })
    }

    /// Answers a TLB conflict abort on the address space, which FEAT_BBM at level 2
    /// permits while a block and its table are exchanged: nothing under its VMID is
    /// cached any more. Clause D3.
    ///
    /// # Errors
    /// `NoSpace` or `Dying`.
    pub fn conflict<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
    ) -> Result<(), Error> {
        self.with_guest(cpu, |guest, cpu| {
            let mut editor = Editor::new(cpu, &guest.space);
            editor.pending.add_all();
            editor.finish();
            Ok(())
        })
    }

    /// The registers that select the address space, if there is one.
    pub fn registers<P: Platform>(&self, platform: &P) -> Option<Registers> {
        self.with(platform, |slot| {
            slot.as_ref().map(|guest| guest.space.registers)
        })
    }

    /// Levels below the root, if there is one: the pages that a mapping of one
    /// page may need, which the page cache should hold at least.
    pub fn levels_below_root<P: Platform>(&self, platform: &P) -> Option<u8> {
        self.with(platform, |slot| {
            slot.as_ref()
                .map(|guest| guest.space.geometry.shape().levels_below_root())
        })
    }

    /// Runs an operation on a range, once clauses U1 to U5 hold.
    fn edit_range<P: Platform, S: PageSource, R>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
        operation: impl FnOnce(&mut Editor<'_, '_, P, S>, IpaRange) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with_guest(cpu, |guest, cpu| {
            let range = check::range(&guest.space.geometry, ipa, bytes)?;
            let mut editor = Editor::new(cpu, &guest.space);
            let result = operation(&mut editor, range);
            editor.finish();
            result
        })
    }

    /// Runs `action` on the address space if it exists and is not being destroyed.
    fn with_guest<'c, P: Platform, S: PageSource, R>(
        &self,
        cpu: &mut Cpu<'c, P, S>,
        action: impl FnOnce(&mut Guest<'a>, &mut Cpu<'c, P, S>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with(cpu.platform(), |slot| match slot {
            None => Err(Error::NoSpace),
            Some(guest) if guest.dying => Err(Error::Dying),
            Some(guest) => action(guest, cpu),
        })
    }

    fn with<P: Platform, R>(
        &self,
        platform: &P,
        action: impl FnOnce(&mut Option<Guest<'a>>) -> R,
    ) -> R {
        self.guest.with(|| platform.wait(), action)
    }
}

fn new_space<P: Platform, S: PageSource>(
    cpu: &Cpu<'_, P, S>,
    geometry: Geometry,
    vmid_field: u64,
) -> Result<Space, CreateError> {
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
    let (shape, coherent_walks) = (*geometry.shape(), geometry.coherent_walks());
    Ok(Space {
        geometry,
        format: Format::new(&geometry),
        // Before VTTBR_EL2 can name it, the root reads zero for every walker.
        tables: Tables::new(cpu.platform(), shape, root, coherent_walks),
        registers,
    })
}
