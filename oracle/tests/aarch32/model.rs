//! Random leaves: the walkers read back what a naive builder entered.

use oracle::stage1 as el2;
use oracle::walk::{self, FaultKind};

use crate::builder::{Builder, Random, entry_bits, sizes};
use crate::support::*;

/// What a leaf was entered for.
#[derive(Debug)]
struct Entered {
    input: u64,
    level: i8,
    pa: u64,
    /// The bits S2AP, or AP[2] in the place of the higher one.
    ap: u64,
    execute_never: bool,
}

impl Entered {
    fn random(random: &mut Random, builder: &Builder) -> Entered {
        let level = random.pick(&[1, 2, 3]).max(builder.start_level);
        let place = |number: u64| number >> entry_bits(level) << entry_bits(level);
        Entered {
            input: place(random.below(1 << builder.input_bits)),
            level,
            pa: place(random.below(1 << 40)),
            ap: random.below(4) << 6,
            execute_never: random.one_in(2),
        }
    }

    fn leaf(&self, plain: u64) -> u64 {
        let ap = plain & !READ & !WRITE | self.ap;
        let xn = if self.execute_never { XN } else { 0 };
        self.pa | ap | xn | u64::from(self.level == 3) << 1
    }
}

/// Offsets within a leaf of `level`.
fn offsets(level: i8) -> [u64; 3] {
    let bytes = 1 << entry_bits(level);
    [0, bytes / 2, bytes - 8]
}

#[test]
fn the_walker_of_stage_2_reads_back_a_random_model() {
    let mut random = Random(0x7e57);
    let mut entered = 0;
    for (ipa_bits, sl0) in sizes() {
        let mut builder = Builder::new(ipa_bits, if sl0 == 0 { 2 } else { 1 });
        let mut models = Vec::new();
        for _ in 0..40 {
            let model = Entered::random(&mut random, &builder);
            if builder.insert(model.input, model.level, model.leaf(LEAF), 0) {
                models.push(model);
            }
        }
        let mut setup = Guest::new(ipa_bits, sl0).with(|setup| setup.registers.hcr |= DC);
        setup.ram = builder.ram;
        for model in &models {
            let (read, write) = (model.ap & READ != 0, model.ap & WRITE != 0);
            for offset in offsets(model.level) {
                let pa = Short::Pa(model.pa + offset);
                let denied = Short::Fault(FaultKind::Permission, model.level);
                for (access, permitted) in [
                    (walk::Access::Read, read),
                    (walk::Access::Write, write),
                    (FETCH, read && !model.execute_never),
                    (FETCH_EL0, read && !model.execute_never),
                ] {
                    let answer = short(setup.ask(model.input + offset, access));
                    let expected = if permitted { pa } else { denied };
                    assert_eq!(answer, expected, "{model:x?} {access:?}");
                }
            }
        }
        entered += models.len();
    }
    assert!(entered > 500, "only {entered} leaves");
}

#[test]
fn the_walker_of_hyp_mode_reads_back_a_random_model() {
    let mut random = Random(0x7e57);
    let mut entered = 0;
    for va_bits in (25..=32).chain(25..=32) {
        let mut builder = Builder::new(va_bits, if va_bits > 30 { 1 } else { 2 });
        let mut models = Vec::new();
        for _ in 0..40 {
            let model = Entered::random(&mut random, &builder);
            if builder.insert(model.input, model.level, model.leaf(HYP_LEAF), 0) {
                models.push(model);
            }
        }
        let mut setup = Hyp::new(va_bits);
        setup.ram = builder.ram;
        for model in &models {
            for offset in offsets(model.level) {
                let pa = Short::Pa(model.pa + offset);
                let denied = Short::Fault(FaultKind::Permission, model.level);
                let va = u32::try_from(model.input + offset).expect("within 32 bits");
                for (access, permitted) in [
                    (el2::Access::Read, true),
                    (el2::Access::Write, model.ap & READ_ONLY == 0),
                    (el2::Access::Execute, !model.execute_never),
                ] {
                    let answer = hyp_short(setup.ask(va, access));
                    let expected = if permitted { pa } else { denied };
                    assert_eq!(answer, expected, "{model:x?} {access:?}");
                }
            }
        }
        entered += models.len();
    }
    assert!(entered > 300, "only {entered} leaves");
}
