//! Encodings, and that what is put in comes out again.

use super::*;
use crate::addr::Pa;
use crate::geometry::{Configuration, ExecutionState, Features, Geometry, Granule};

const ALL: Prot = Prot {
    read: true,
    write: true,
    execute: Execute::Both,
};
const DATA: Prot = Prot {
    read: true,
    write: true,
    execute: Execute::Never,
};

fn configuration(granule: Granule, pa_bits: u8) -> Configuration {
    Configuration {
        state: ExecutionState::Aarch64,
        granule,
        ipa_bits: 40,
        pa_bits,
        start_level: None,
        ds: false,
        contiguous: false,
        coherent_walks: true,
        features: Features::default(),
    }
}

fn format(granule: Granule, pa_bits: u8) -> Format {
    Format::new(&Geometry::new(&configuration(granule, pa_bits)).unwrap())
}

fn format_with(features: Features) -> Format {
    let mut c = configuration(Granule::K4, 40);
    c.features = features;
    Format::new(&Geometry::new(&c).unwrap())
}

fn format_with_ds(granule: Granule) -> Format {
    let mut c = configuration(granule, 52);
    c.ds = true;
    c.features.lpa2_4k = true;
    c.features.lpa2_16k = true;
    Format::new(&Geometry::new(&c).unwrap())
}

fn page(format: &Format, pa: u64, prot: Prot, memory: MemoryType) -> Descriptor {
    let attributes = Attributes::new(format, prot, memory, 0).unwrap();
    format.leaf(Level::PAGE, Pa::new(pa), attributes)
}

fn refusal(format: &Format, prot: Prot, memory: MemoryType) -> AttributesError {
    Attributes::new(format, prot, memory, 0).unwrap_err()
}

#[test]
fn normal_memory_with_all_permissions() {
    let page = page(
        &format(Granule::K4, 40),
        0x5000_0000,
        ALL,
        MemoryType::Normal,
    );
    assert_eq!(page.raw(), 0x5000_07ff);
}

#[test]
fn device_memory_is_never_executable() {
    let format = format(Granule::K4, 40);
    assert_eq!(
        refusal(&format, ALL, MemoryType::DeviceNgnre),
        AttributesError::ExecutableDevice(Execute::Both)
    );
    let page = page(&format, 0x900_0000, DATA, MemoryType::DeviceNgnre);
    assert_eq!(page.raw(), 0x0040_0000_0900_04c7);
    assert_eq!(page.with_permissions(format.permissions(ALL)), page);
}

#[test]
fn memory_types_have_their_encodings_with_and_without_fwb() {
    let types = [
        MemoryType::Normal,
        MemoryType::NonCacheable,
        MemoryType::DeviceNgnre,
        MemoryType::DeviceNgnrne,
    ];
    let encodings = |fwb| {
        let format = format_with(Features {
            fwb,
            ..Features::default()
        });
        types.map(|memory| {
            let raw = page(&format, 0, DATA, memory).raw();
            (raw >> 2 & 0xf, raw >> 8 & 3)
        })
    };
    for memory in types {
        let page = page(&format(Granule::K4, 40), 0, DATA, memory);
        assert_eq!(page.memory(), memory);
    }
    assert_eq!(encodings(false), [(15, 3), (5, 3), (1, 0), (0, 0)]);
    assert_eq!(encodings(true), [(6, 3), (5, 3), (1, 0), (0, 0)]);
}

#[test]
fn a_mapping_that_permits_nothing_is_refused() {
    let nothing = Prot {
        read: false,
        write: false,
        execute: Execute::Never,
    };
    assert_eq!(
        refusal(&format(Granule::K4, 40), nothing, MemoryType::Normal),
        AttributesError::NothingPermitted
    );
}

#[test]
fn execution_at_one_exception_level_needs_xnx() {
    let prot = |execute| Prot { execute, ..ALL };
    let xnx = format_with(Features {
        xnx: true,
        ..Features::default()
    });
    for (execute, encoding) in [
        (Execute::Both, 0),
        (Execute::El0, 1),
        (Execute::Never, 2),
        (Execute::El1, 3),
    ] {
        let page = page(&xnx, 0, prot(execute), MemoryType::Normal);
        assert_eq!(page.raw() >> 53 & 3, encoding);
        assert_eq!(page.prot(), prot(execute));
    }
    assert_eq!(
        refusal(
            &format(Granule::K4, 40),
            prot(Execute::El1),
            MemoryType::Normal
        ),
        AttributesError::NoXnx(Execute::El1)
    );
}

#[test]
fn execution_at_el1_and_at_el0_adds_up_to_both() {
    let prot = |execute| Prot { execute, ..DATA };
    let (el1, el0) = (prot(Execute::El1), prot(Execute::El0));
    assert_eq!(el1.union(el0), prot(Execute::Both));
    assert!(el1.adds_execution_to(el0) && !el1.adds_execution_to(el1.union(el0)));
}

#[test]
fn software_has_four_bits() {
    let format = format(Granule::K4, 40);
    let new = |software| Attributes::new(&format, ALL, MemoryType::Normal, software);
    let page = format.leaf(Level::PAGE, Pa::new(0), new(15).unwrap());
    assert_eq!(page.raw() >> 55, 15);
    assert_eq!(page.software(), 15);
    assert_eq!(new(16), Err(AttributesError::Software(16)));
}

#[test]
fn hardware_dirty_state_starts_clean_and_stays_recorded() {
    let format = format_with(Features {
        haf: true,
        hd: true,
        ..Features::default()
    });
    let clean = page(&format, 0, ALL, MemoryType::Normal);
    assert!(clean.is_writable() && !clean.is_dirty());
    let dirty = Descriptor::from_raw(clean.raw() | 1 << 7).without_young();
    assert!(dirty.is_dirty());
    assert_eq!(dirty.as_made(), clean);
    assert!(dirty.with_permissions(format.permissions(DATA)).is_dirty());
    let read_only = Prot {
        write: false,
        ..ALL
    };
    let taken = dirty.with_permissions(format.permissions(read_only));
    assert!(!taken.is_writable() && !taken.is_dirty());
    assert!(!dirty.without_write().is_dirty());
    assert_eq!(
        clean.without_record().with_record_of(dirty),
        dirty.without_young()
    );
}

#[test]
fn without_hardware_dirty_state_what_is_writable_is_dirty() {
    let writable = page(&format(Granule::K4, 40), 0, ALL, MemoryType::Normal);
    assert!(writable.is_dirty());
    assert_eq!(writable.as_made(), writable);
}

#[test]
fn a_52_bit_address_comes_back_with_its_attributes_in_every_format() {
    let formats = [
        (format(Granule::K64, 52), 0xf_1234_5678_0000),
        (format_with_ds(Granule::K4), 0xf_1234_5678_9000),
        (format_with_ds(Granule::K16), 0xf_1234_5678_8000),
    ];
    for (format, pa) in formats {
        let attributes = Attributes::new(&format, ALL, MemoryType::Normal, 9).unwrap();
        let page = format.leaf(Level::PAGE, Pa::new(pa), attributes);
        assert_eq!(
            (format.address(page), format.attributes(page)),
            (Pa::new(pa), attributes)
        );
        assert_eq!(format.address(format.table(Pa::new(pa))), Pa::new(pa));
    }
}

#[test]
fn the_formats_put_the_high_bits_where_the_architecture_wants_them() {
    let lpa = format(Granule::K64, 52).table(Pa::new(0xa_0000_0001_0000));
    assert_eq!(lpa.raw(), 0x1_a003);
    let lpa2 = format_with_ds(Granule::K4).table(Pa::new(0xb_0000_0000_1000));
    assert_eq!(lpa2.raw(), 0x3_0000_0000_1203);
}

#[test]
fn the_contiguous_hint_is_no_attribute() {
    let format = format(Granule::K4, 40);
    let page = page(&format, 0x1000, ALL, MemoryType::Normal);
    let hinted = page.with_contiguous();
    assert_eq!(hinted.raw(), page.raw() | 1 << 52);
    assert_eq!(format.attributes(hinted), format.attributes(page));
    assert_eq!(hinted.without_contiguous(), page);
}

#[test]
fn invalid_descriptors_tell_what_they_keep() {
    let leaf = page(
        &format(Granule::K4, 40),
        0x5000_0000,
        ALL,
        MemoryType::Normal,
    );
    assert_eq!(leaf.absence(), None);
    assert_eq!(Descriptor::INVALID.absence(), Some(Absence::Empty));
    assert_eq!(leaf.softened().absence(), Some(Absence::Soft));
    assert_eq!(leaf.softened().revived(), Some(leaf));
    for owner in 1..=u8::MAX {
        let owner = NonZeroU8::new(owner).unwrap();
        let annotation = Descriptor::annotation(owner);
        assert!(!annotation.is_valid());
        assert_eq!(annotation.absence(), Some(Absence::Owned(owner)));
        assert_eq!(annotation.revived(), None);
    }
}

#[test]
fn a_block_at_level_3_is_invalid() {
    assert_eq!(
        Descriptor::from_raw(0x5000_07fd).kind(Level::PAGE),
        Kind::Invalid
    );
}
