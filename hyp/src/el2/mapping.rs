//! What EL2 maps of itself, and the checks of such a request.

use super::geometry::Geometry;
use super::map::Request;
use super::{MapError, RangeError};
use crate::addr::{IpaRange, Pa, PaRange, Va};
use crate::descriptor::el2::Attributes;
use crate::descriptor::{Execute, MemoryType, Prot};
use crate::geometry::Granule;

/// What to map.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// First VA.
    pub va: Va,
    /// First PA.
    pub pa: Pa,
    /// Length in bytes.
    pub bytes: u64,
    /// Permissions. Loads must be among them, stores and fetches exclude each other,
    /// and fetches are asked for at every exception level.
    pub prot: Prot,
    /// Memory type.
    pub memory: MemoryType,
    /// Bits for software in each leaf, at most 4.
    pub software: u8,
    /// Write pages where blocks would fit.
    pub pages_only: bool,
}

impl Mapping {
    /// Normal memory at its own address: what the hypervisor executes from while its
    /// MMU goes on or off, since the next instruction is at the same address then.
    #[must_use]
    pub const fn identity(memory: PaRange, prot: Prot) -> Mapping {
        let start = memory.start();
        Mapping {
            va: Va::new(start.raw()),
            pa: start,
            bytes: memory.end().raw() - start.raw(),
            prot,
            memory: MemoryType::Normal,
            software: 0,
            pages_only: false,
        }
    }

    /// The registers of a device, Device-nGnRE, to load and store.
    #[must_use]
    pub const fn io(va: Va, registers: PaRange) -> Mapping {
        Mapping {
            va,
            memory: MemoryType::DeviceNgnre,
            ..Mapping::identity(
                registers,
                Prot {
                    read: true,
                    write: true,
                    execute: Execute::Never,
                },
            )
        }
    }

    /// The page with EL2's vectors, to fetch from. The 2 KiB that `VBAR_EL2` names fit
    /// into a page of any granule.
    #[must_use]
    pub const fn vectors(va: Va, page: Pa, granule: Granule) -> Mapping {
        Mapping {
            va,
            pa: page,
            bytes: granule.bytes(),
            prot: Prot {
                read: true,
                write: false,
                execute: Execute::Both,
            },
            memory: MemoryType::Normal,
            software: 0,
            pages_only: true,
        }
    }
}

/// Clauses M2 to M6, and E4 in the place of M7.
pub(super) fn check(geometry: &Geometry, mapping: &Mapping) -> Result<Request, MapError> {
    let Mapping {
        va,
        pa,
        bytes,
        prot,
        memory,
        software,
        pages_only,
    } = *mapping;
    check_bytes(geometry, &[va.raw(), pa.raw(), bytes], bytes).map_err(MapError::Range)?;
    let wraps = |address| MapError::Range(RangeError::Wraps(address));
    let range = IpaRange::new(va.as_input(), bytes).ok_or(wraps(va.raw()))?;
    let target = PaRange::new(pa, bytes).ok_or(wraps(pa.raw()))?;
    check_va_size(geometry, range).map_err(MapError::Range)?;
    if target.end().raw() > geometry.shape().pa_limit() {
        return Err(MapError::BeyondOutputSize(target.end()));
    }
    let format = geometry.shape().address_format();
    let attributes =
        Attributes::new(format, prot, memory, software).map_err(MapError::Attributes)?;
    Ok(Request {
        range,
        pa,
        attributes,
        pages_only,
    })
}

/// Clauses U2 to U5.
pub(super) fn check_range(geometry: &Geometry, va: Va, bytes: u64) -> Result<IpaRange, RangeError> {
    check_bytes(geometry, &[va.raw(), bytes], bytes)?;
    let range = IpaRange::new(va.as_input(), bytes).ok_or(RangeError::Wraps(va.raw()))?;
    check_va_size(geometry, range)?;
    Ok(range)
}

/// Clauses M2 and M3, U2 and U3.
fn check_bytes(geometry: &Geometry, values: &[u64], bytes: u64) -> Result<(), RangeError> {
    if bytes == 0 {
        return Err(RangeError::Empty);
    }
    let granule = geometry.shape().granule().bytes();
    match values.iter().find(|&value| value % granule != 0) {
        Some(value) => Err(RangeError::Misaligned(*value)),
        None => Ok(()),
    }
}

/// Clauses M5 and U5.
fn check_va_size(geometry: &Geometry, range: IpaRange) -> Result<(), RangeError> {
    let end = range.end().raw();
    if end > geometry.va_limit() {
        return Err(RangeError::BeyondVaSize(Va::new(end)));
    }
    Ok(())
}
