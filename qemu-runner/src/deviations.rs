//! Where an emulator is known to differ from the architecture: named, with the
//! versions that do it, so that a comparison is changed or left out by an entry
//! here and in no other way.
//!
//! Only what sequences of this version can meet is listed: they have no hardware
//! updates, no 52-bit descriptors of the small granules, and no contiguous hints.

use crate::qemu::Version;

/// A known deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// A stable name.
    pub name: &'static str,
    /// What the emulator does instead.
    pub what: &'static str,
    /// The first version that does it.
    pub first: Version,
    /// The first version that does it no more, where that is known.
    pub fixed: Option<Version>,
}

/// `AT S12E1*` that meets a stage-2 permission fault ends the process.
pub const AT_PERMISSION_FAULT: Deviation = Deviation {
    name: "at-permission-fault",
    what: "AT S12E1* that meets a stage-2 Permission fault ends QEMU by an assertion",
    // 7.2 is fine and 10.0 is not; what lies between was not measured.
    first: Version { major: 8, minor: 0 },
    fixed: None,
};

impl Deviation {
    /// Whether this version does it.
    #[must_use]
    pub fn applies(&self, version: Version) -> bool {
        version >= self.first && self.fixed.is_none_or(|fixed| version < fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_the_first_version_and_exclude_the_fixed_one() {
        let version = |major, minor| Version { major, minor };
        let deviation = Deviation {
            fixed: Some(version(9, 1)),
            ..AT_PERMISSION_FAULT
        };
        let applies = [(7, 2), (8, 0), (9, 0), (9, 1)]
            .map(|(major, minor)| deviation.applies(version(major, minor)));
        assert_eq!(applies, [false, true, true, false]);
    }
}
