//! The machine of a sequence, 48 bytes.
//!
//! | offset | field |
//! |---|---|
//! | 0 | granule: 0 for 4K, 1 for 16K, 2 for 64K |
//! | 1 | physical address bits |
//! | 2 | IPA bits |
//! | 3 | start level, signed, 0 where it is not given |
//! | 4 | flags: 1 start level given, 2 cache given, 4 stub given, 8 walks not coherent |
//! | 5 | regime: 0 Stage-2, 1 EL2, 2 AArch32 Stage-2, 3 Hyp mode |
//! | 6 | cache pages, u16 |
//! | 8 | pool pages, u16 |
//! | 12 | options, u32: the bits of `Machine::options` |
//! | 16 | pool base |
//! | 24 | memory base |
//! | 32 | memory bytes |
//! | 40 | stub IPA |
//!
//! What no field has is zero.

use super::{WireError, canonical, put, u16_at, u32_at, u64_at};
use crate::{Features, Granule, Machine, Pool, Regime, Window};

/// Length of a machine in bytes.
pub const MACHINE_BYTES: usize = 48;

const HAS_START: u8 = 1;
const HAS_CACHE: u8 = 2;
const HAS_STUB: u8 = 4;
const NONCOHERENT: u8 = 8;

/// The machine as bytes.
#[must_use]
pub fn encode_machine(machine: &Machine) -> [u8; MACHINE_BYTES] {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let mut bytes = [0; MACHINE_BYTES];
    bytes[0] = match machine.granule {
        Granule::K4 => 0,
        Granule::K16 => 1,
        Granule::K64 => 2,
    };
    bytes[1] = machine.pa_bits;
    bytes[2] = machine.ipa_bits;
    put(
        &mut bytes,
        3,
        machine.start_level.unwrap_or(0).to_le_bytes(),
    );
    bytes[4] = flag(machine.start_level.is_some(), HAS_START)
        | flag(machine.cache_pages.is_some(), HAS_CACHE)
        | flag(machine.stub.is_some(), HAS_STUB)
        | flag(!machine.coherent_walks, NONCOHERENT);
    bytes[5] = match machine.regime {
        Regime::Stage2 => 0,
        Regime::El2 => 1,
        Regime::Aarch32 => 2,
        Regime::Aarch32Hyp => 3,
    };
    put(
        &mut bytes,
        6,
        machine.cache_pages.unwrap_or(0).to_le_bytes(),
    );
    put(&mut bytes, 8, machine.pool.pages.to_le_bytes());
    put(&mut bytes, 12, u32::from(machine.options()).to_le_bytes());
    put(&mut bytes, 16, machine.pool.base.to_le_bytes());
    put(&mut bytes, 24, machine.memory.base.to_le_bytes());
    put(&mut bytes, 32, machine.memory.bytes.to_le_bytes());
    put(&mut bytes, 40, machine.stub.unwrap_or(0).to_le_bytes());
    bytes
}

/// The machine of these bytes.
///
/// # Errors
/// `Granule`; `Regime`; `Reserved`; `Machine` for one that cannot run any sequence.
pub fn decode_machine(bytes: &[u8; MACHINE_BYTES]) -> Result<Machine, WireError> {
    let flags = bytes[4];
    let options = u16::try_from(u32_at(bytes, 12)).map_err(|_| WireError::Reserved)?;
    let machine = Machine {
        regime: *Regime::ALL
            .get(usize::from(bytes[5]))
            .ok_or(WireError::Regime(bytes[5]))?,
        granule: *Granule::ALL
            .get(usize::from(bytes[0]))
            .ok_or(WireError::Granule(bytes[0]))?,
        pa_bits: bytes[1],
        ipa_bits: bytes[2],
        start_level: (flags & HAS_START != 0).then_some(i8::from_le_bytes([bytes[3]])),
        ds: false,
        features: Features::default(),
        contiguous: false,
        coherent_walks: flags & NONCOHERENT == 0,
        cache_pages: (flags & HAS_CACHE != 0).then_some(u16_at(bytes, 6)),
        pool: Pool {
            base: u64_at(bytes, 16),
            pages: u16_at(bytes, 8),
        },
        memory: Window {
            base: u64_at(bytes, 24),
            bytes: u64_at(bytes, 32),
        },
        stub: (flags & HAS_STUB != 0).then_some(u64_at(bytes, 40)),
    }
    .with_options(options);
    machine.check().map_err(WireError::Machine)?;
    canonical(machine, encode_machine(&machine), bytes)
}
