//! Bytes as features, registers and a recipe for tables. Any bytes are an input: what
//! is missing reads as zero, and what is behind the last record is ignored.
//!
//! | offset | field |
//! |---|---|
//! | 0 | mode: bit 0 EL2's stage 1, bit 1 registers as they are, bit 2 noise where nothing is stored |
//! | 1 | physical address size: one of seven, or this number from 128 on |
//! | 2 | u16: a bit for each feature that is missing |
//! | 4 | FEAT_BBM level, what T0SZ and start level are tried from, how a fault is reported |
//! | 8 | `VTCR_EL2` or `TCR_EL2` |
//! | 16 | `VTTBR_EL2` or `TTBR0_EL2` |
//! | 24 | `HCR_EL2` or `SCTLR_EL2` |
//! | 32 | `MAIR_EL2` |
//! | 40 | the virtual address that a syndrome reports; an address to translate |
//! | 48 | records of 24 bytes |
//!
//! Unless mode says otherwise, registers are mended: the fields that make a
//! configuration invalid are replaced by the nearest that do not.

use oracle::{arch, stage1, walk};

/// Length of what comes before the records.
pub const HEADER_BYTES: usize = 48;
/// Length of a record.
pub const RECORD_BYTES: usize = 24;
/// Records that count.
const MAX_RECORDS: usize = 48;

/// Physical address of the root in mended registers: aligned to every root's size.
const ROOT: u64 = 0x4000_0000;

const MODE_STAGE1: u8 = 1 << 0;
const MODE_RAW: u8 = 1 << 1;
const MODE_NOISE: u8 = 1 << 2;

const TG0: u64 = 0b11 << 14;
const TG0_16K: u64 = 0b10 << 14;
const PS: u64 = 0b111 << 16;
const SL0: u64 = 0b11 << 6;
const SL2: u64 = 1 << 33;
const T0SZ: u64 = 0b11_1111;
/// `HCR_EL2.VM` and `SCTLR_EL2.M`.
const ENABLE: u64 = 1;

/// An input.
pub(super) struct Input {
    header: [u8; HEADER_BYTES],
    pub(super) records: Vec<Record>,
}

/// One change to the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// What is entered.
    pub(super) kind: Kind,
    /// The level, counted up from that of pages, and again from there above the root.
    pub(super) level: u8,
    /// Where.
    pub(super) place: Place,
    /// How many leaves in a row.
    pub(super) count: u8,
    /// Bits of a leaf that are turned over: each from 128 on.
    pub(super) flips: [u8; 4],
    /// The address, as far as the place leaves it open.
    pub(super) address: u64,
    /// The descriptor, as far as the kind leaves it open.
    pub(super) word: u64,
}

/// What is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Leaves that can be used, flips aside.
    Leaves,
    /// The word as it is.
    Word,
    /// A link to a table that exists.
    Link,
    /// A descriptor that cannot be read.
    Hole,
}

/// Where it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the address.
    Address,
    /// Behind what the last record entered.
    Behind,
    /// Before it.
    Before,
    /// As far below the end of the address space as the address says.
    Top,
}

impl Record {
    fn new(bytes: &[u8; RECORD_BYTES]) -> Record {
        let [kind, level, place, count, flips @ ..] = *bytes.first_chunk::<8>().expect("24 bytes");
        Record {
            kind: match kind % 8 {
                0..=4 => Kind::Leaves,
                5 => Kind::Word,
                6 => Kind::Link,
                _ => Kind::Hole,
            },
            level,
            place: match place % 4 {
                0 => Place::Address,
                1 => Place::Behind,
                2 => Place::Before,
                _ => Place::Top,
            },
            count: count % 8 + 1,
            flips,
            address: word(bytes, 8),
            word: word(bytes, 16),
        }
    }
}

impl Input {
    pub(super) fn new(bytes: &[u8]) -> Input {
        let mut header = [0; HEADER_BYTES];
        let known = bytes.len().min(HEADER_BYTES);
        header[..known].copy_from_slice(&bytes[..known]);
        let (records, _) = bytes[known..].as_chunks::<RECORD_BYTES>();
        Input {
            header,
            records: records.iter().take(MAX_RECORDS).map(Record::new).collect(),
        }
    }

    pub(super) fn is_stage1(&self) -> bool {
        self.header[0] & MODE_STAGE1 != 0
    }

    fn is_raw(&self) -> bool {
        self.header[0] & MODE_RAW != 0
    }

    /// What words are made of that nobody stored, if they are not zero.
    pub(super) fn noise(&self) -> Option<u64> {
        (self.header[0] & MODE_NOISE != 0).then(|| self.address() | 1)
    }

    /// An address of any size.
    pub(super) fn address(&self) -> u64 {
        word(&self.header, 40)
    }

    /// How the access was made that faults.
    pub(super) fn report_mode(&self) -> u8 {
        self.header[7]
    }

    fn misses(&self, feature: u32) -> bool {
        let missing = u16::from_le_bytes([self.header[2], self.header[3]]);
        missing >> feature & 1 != 0
    }

    fn features(&self) -> arch::Features {
        const SIZES: [u8; 8] = [48, 52, 40, 36, 32, 42, 44, 52];
        let size = self.header[1];
        arch::Features {
            pa_bits: if size < 128 {
                SIZES[usize::from(size % 8)]
            } else {
                size
            },
            lpa2_4k: !self.misses(0),
            lpa2_16k: !self.misses(1),
            granule_16k: !self.misses(2),
            haf: !self.misses(3),
            dbm: !self.misses(4),
            xnx: !self.misses(5),
            ttst: !self.misses(6),
            fwb: !self.misses(7),
            bbm: self.header[4] % 4,
        }
    }

    /// Features and registers of Stage 2.
    pub(super) fn stage2(&self) -> (arch::Features, walk::Registers) {
        let features = self.features();
        let [vtcr, vttbr, hcr] = [8, 16, 24].map(|at| word(&self.header, at));
        let raw = walk::Registers { vtcr, vttbr, hcr };
        if self.is_raw() {
            return (features, raw);
        }
        let enabled = walk::Registers {
            vtcr: with_granule(vtcr, features),
            vttbr: ROOT,
            hcr: hcr | ENABLE,
        };
        let is_valid =
            |registers: &walk::Registers| walk::Stage2::new(features, *registers).root().is_some();
        let candidates = self.sizes().flat_map(|t0sz| {
            self.start_levels().map(move |start| walk::Registers {
                vtcr: enabled.vtcr & !(T0SZ | SL0 | SL2) | t0sz | start,
                ..enabled
            })
        });
        (
            features,
            candidates.into_iter().find(is_valid).unwrap_or(raw),
        )
    }

    /// Features and registers of EL2's stage 1.
    pub(super) fn stage1(&self) -> (stage1::Features, stage1::Registers) {
        let features = stage1::Features {
            both: self.features(),
            lva: !self.misses(8),
            hpds: !self.misses(9),
            pauth: !self.misses(10),
            xs: !self.misses(11),
            mte2: !self.misses(12),
        };
        let [tcr, ttbr0, sctlr, mair] = [8, 16, 24, 32].map(|at| word(&self.header, at));
        let raw = stage1::Registers {
            tcr,
            ttbr0,
            mair,
            sctlr,
        };
        if self.is_raw() {
            return (features, raw);
        }
        let enabled = stage1::Registers {
            tcr: with_granule(tcr, features.both),
            ttbr0: ROOT,
            mair,
            sctlr: sctlr | ENABLE,
        };
        let is_valid = |registers: &stage1::Registers| {
            stage1::Stage1::new(features, *registers).root().is_some()
        };
        let candidates = self.sizes().map(|t0sz| stage1::Registers {
            tcr: enabled.tcr & !T0SZ | t0sz,
            ..enabled
        });
        (
            features,
            candidates.into_iter().find(is_valid).unwrap_or(raw),
        )
    }

    /// Every T0SZ that any configuration allows, in turn from one of them on.
    fn sizes(&self) -> impl Iterator<Item = u64> {
        let first = u64::from(self.header[5]);
        (0..37).map(move |i| 12 + (first + i) % 37)
    }

    /// SL0 and SL2, likewise.
    fn start_levels(&self) -> impl Iterator<Item = u64> {
        let first = u64::from(self.header[6]);
        (0..8).map(move |i| {
            let start = first + i;
            (start & 0b11) << 6 | (start >> 2 & 1) << 33
        })
    }
}

/// A granule and an output size that exist, in place of those that do not.
fn with_granule(register: u64, features: arch::Features) -> u64 {
    let granule = match register & TG0 {
        TG0 => 0,
        TG0_16K if !features.granule_16k => 0,
        granule => granule,
    };
    let size = match register & PS {
        PS => 0b101 << 16,
        size => size,
    };
    register & !(TG0 | PS) | granule | size
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mended_registers_are_valid_for_any_header() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..3000 {
            let mut bytes = [0; HEADER_BYTES];
            rng.fill(&mut bytes);
            bytes[0] &= !MODE_RAW;
            let input = Input::new(&bytes);
            let is_valid = if input.is_stage1() {
                let (features, registers) = input.stage1();
                stage1::Stage1::new(features, registers).root().is_some()
            } else {
                let (features, registers) = input.stage2();
                walk::Stage2::new(features, registers).root().is_some()
            };
            assert!(is_valid, "{bytes:02x?}");
        }
    }

    #[test]
    fn raw_registers_are_those_of_the_bytes() {
        let mut bytes = [0x5a; HEADER_BYTES];
        bytes[0] = MODE_RAW;
        let (_, registers) = Input::new(&bytes).stage2();
        let word = 0x5a5a_5a5a_5a5a_5a5a;
        assert_eq!(
            registers,
            walk::Registers {
                vtcr: word,
                vttbr: word,
                hcr: word
            }
        );
    }

    #[test]
    fn records_are_whole_or_ignored() {
        let bytes =
            |records: usize, rest: usize| vec![0; HEADER_BYTES + RECORD_BYTES * records + rest];
        assert_eq!(Input::new(&bytes(2, RECORD_BYTES - 1)).records.len(), 2);
        assert_eq!(Input::new(&bytes(1000, 0)).records.len(), MAX_RECORDS);
    }
}
