//! Memory attributes of stage 1 and stage 2 together, as `PAR_EL1` reports them for a
//! data access.
//!
//! Stage 1 is off, so its own attributes are Device-nGnRnE, Outer Shareable, or, with
//! `HCR_EL2.DC`, Normal Write-Back Read-Allocate Write-Allocate, Non-shareable
//! (`AArch64.S1DisabledOutput`). Allocation hints come from stage 1 throughout.

use super::Why;
use super::configuration::Controls;

/// From weakest to strongest: the weaker of two stages wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cacheability {
    NonCacheable,
    WriteThrough,
    WriteBack,
}

/// From strongest to weakest: the stronger of two stages wins. The discriminants are
/// bits 3:2 of the `MAIR` form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Device {
    Ngnrne,
    Ngnre,
    Ngre,
    Gre,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Device(Device),
    Normal {
        outer: Cacheability,
        inner: Cacheability,
    },
}

const WRITE_BACK: Type = Type::Normal {
    outer: Cacheability::WriteBack,
    inner: Cacheability::WriteBack,
};
const NON_CACHEABLE: Type = Type::Normal {
    outer: Cacheability::NonCacheable,
    inner: Cacheability::NonCacheable,
};

/// `PAR_EL1.ATTR` and `PAR_EL1.SH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) attributes: u8,
    pub(crate) shareability: u8,
}

const NON_SHAREABLE: u8 = 0b00;
const RESERVED_SHAREABILITY: u8 = 0b01;
const OUTER_SHAREABLE: u8 = 0b10;
const INNER_SHAREABLE: u8 = 0b11;

/// DecodeDevice
const fn device(encoded: u64) -> Device {
    match encoded & 0b11 {
        0b00 => Device::Ngnrne,
        0b01 => Device::Ngnre,
        0b10 => Device::Ngre,
        _ => Device::Gre,
    }
}

/// S2DecodeCacheability; `None` for the reserved encoding.
const fn cacheability(encoded: u64) -> Option<Cacheability> {
    match encoded & 0b11 {
        0b01 => Some(Cacheability::NonCacheable),
        0b10 => Some(Cacheability::WriteThrough),
        0b11 => Some(Cacheability::WriteBack),
        _ => None,
    }
}

/// S2DecodeMemAttrs; `None` for the reserved encodings.
#[inline]
fn decode(mem_attr: u64) -> Option<Type> {
    match mem_attr >> 2 {
        0 => Some(Type::Device(device(mem_attr))),
        outer => Some(Type::Normal {
            outer: cacheability(outer)?,
            inner: cacheability(mem_attr)?,
        }),
    }
}

/// S2CombineS1MemAttrs, S2CombineS1Device, S2CombineS1AttrHints
#[inline]
fn combine(stage1: Type, stage2: Type) -> Type {
    match (stage1, stage2) {
        (Type::Device(one), Type::Device(two)) => Type::Device(one.min(two)),
        (device @ Type::Device(_), _) | (_, device @ Type::Device(_)) => device,
        (
            Type::Normal { outer, inner },
            Type::Normal {
                outer: outer_2,
                inner: inner_2,
            },
        ) => Type::Normal {
            outer: outer.min(outer_2),
            inner: inner.min(inner_2),
        },
    }
}

/// AArch64.S2ApplyFWBMemAttrs; `None` for the reserved encodings.
fn force(stage1: Type, mem_attr: u64) -> Option<Type> {
    match (mem_attr, stage1) {
        (0b0000..=0b0011, Type::Device(_)) => Some(combine(stage1, Type::Device(device(mem_attr)))),
        (0b0000..=0b0011, Type::Normal { .. }) => Some(Type::Device(device(mem_attr))),
        (0b0101, Type::Normal { .. }) => Some(NON_CACHEABLE),
        (0b0101, Type::Device(_)) | (0b0111, _) => Some(stage1),
        (0b0110, _) => Some(WRITE_BACK),
        _ => None,
    }
}

/// EncodePARAttrs
fn encode(memory: Type) -> u8 {
    let nibble = |cacheability| match cacheability {
        Cacheability::NonCacheable => 0x4,
        Cacheability::WriteThrough => 0xb,
        Cacheability::WriteBack => 0xf,
    };
    match memory {
        Type::Device(device) => (device as u8) << 2,
        Type::Normal { outer, inner } => nibble(outer) << 4 | nibble(inner),
    }
}

impl Controls {
    fn stage1(&self) -> (Type, u8) {
        if self.default_cacheable {
            (WRITE_BACK, NON_SHAREABLE)
        } else {
            (Type::Device(Device::Ngnrne), OUTER_SHAREABLE)
        }
    }

    /// What `PAR_EL1` reports where stage 2 is off.
    pub(crate) fn stage1_attributes(&self) -> Reported {
        let (memory, shareability) = self.stage1();
        Reported {
            attributes: encode(memory),
            shareability,
        }
    }

    /// Whether stage 2 makes memory Device for a fetch, whose stage-1 type is Normal.
    /// MemAttr is not a reserved encoding.
    pub(super) fn fetches_from_device(&self, descriptor: u64) -> bool {
        let mem_attr = descriptor >> 2 & 0b1111;
        if self.forced_write_back {
            mem_attr & 0b0100 == 0
        } else {
            mem_attr & 0b1100 == 0
        }
    }

    /// The attributes of a leaf.
    #[inline]
    pub(super) fn attributes(&self, descriptor: u64, sh: u8) -> Result<Reported, Why> {
        let mem_attr = descriptor >> 2 & 0b1111;
        let (stage1, stage1_shareability) = self.stage1();
        let memory = if self.forced_write_back {
            self.without_caches(force(stage1, mem_attr).ok_or(Why::MemAttr)?)
        } else {
            let stage2 = decode(mem_attr).ok_or(Why::MemAttr)?;
            combine(stage1, self.without_caches(stage2))
        };
        Ok(Reported {
            attributes: encode(memory),
            shareability: shareability(memory, stage1_shareability, sh)?,
        })
    }

    /// HCR_EL2.CD makes all Normal memory Non-cacheable for data (AArch64.S2Translate).
    #[inline]
    fn without_caches(&self, memory: Type) -> Type {
        match memory {
            Type::Normal { .. } if self.caches_disabled => NON_CACHEABLE,
            _ => memory,
        }
    }
}

/// S2CombineS1Shareability, EffectiveShareability, PAREncodeShareability
#[inline]
fn shareability(memory: Type, stage1: u8, stage2: u8) -> Result<u8, Why> {
    let combined = match (stage1, stage2) {
        // DecodeShareability
        (_, RESERVED_SHAREABILITY) => return Err(Why::Shareability),
        (OUTER_SHAREABLE, _) | (_, OUTER_SHAREABLE) => OUTER_SHAREABLE,
        (INNER_SHAREABLE, _) | (_, INNER_SHAREABLE) => INNER_SHAREABLE,
        _ => NON_SHAREABLE,
    };
    let always_outer = matches!(memory, Type::Device(_)) || memory == NON_CACHEABLE;
    Ok(if always_outer {
        OUTER_SHAREABLE
    } else {
        combined
    })
}
