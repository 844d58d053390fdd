//! The fuzz target `oracle_walk`: any registers over any tables, and the oracle's
//! answers held against each other. What contradicts itself is wrong, whatever the
//! architecture says; that it says the right thing is shown by the vectors.
//!
//! Checked are, for Stage 2 and for EL2's stage 1: nothing panics; the walker agrees
//! with the list of ranges at the edges of ranges and elsewhere; `translate` answers
//! as the last step of `trace` does; what `report` puts into syndrome registers decodes
//! to the answer again. Where the list would be too long to make or to look through,
//! that is counted.

mod edges;
mod input;
mod stage1;
mod stage2;
mod syndrome;
mod tables;

use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, Once, PoisonError};

use crate::target::exit;

pub use input::{HEADER_BYTES, RECORD_BYTES};

/// The oracle contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Which of the checks failed; the same for all inputs that fail alike.
    pub check: &'static str,
    /// Registers, address and answers.
    pub what: String,
}

impl Display for Contradiction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the oracle contradicts itself: {}\n{}",
            self.check, self.what
        )
    }
}

impl std::error::Error for Contradiction {}

/// What inputs came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Inputs.
    pub inputs: u64,
    /// Those of EL2's stage 1; the others are of Stage 2.
    pub stage1: u64,
    /// Those whose configuration lets descriptors decide.
    pub valid: u64,
    /// Ranges, in all lists.
    pub ranges: u64,
    /// Walks that were compared with a list.
    pub compared: u64,
    /// Walks that ended in a translation, a fault, and what the architecture leaves
    /// open.
    pub ends: [u64; 3],
    /// Lists that were not made, since the tables are shared too often.
    pub too_long: u64,
    /// Ranges of made lists at whose edges no walk was made.
    pub not_probed: u64,
}

impl Counts {
    /// Adds what others came to.
    pub fn add(&mut self, other: &Counts) {
        self.inputs += other.inputs;
        self.stage1 += other.stage1;
        self.valid += other.valid;
        self.ranges += other.ranges;
        self.compared += other.compared;
        for (end, other) in self.ends.iter_mut().zip(other.ends) {
            *end += other;
        }
        self.too_long += other.too_long;
        self.not_probed += other.not_probed;
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [translations, faults, open] = self.ends;
        writeln!(
            f,
            "{} inputs, {} of them of EL2's stage 1, {} with a valid configuration",
            self.inputs, self.stage1, self.valid
        )?;
        writeln!(
            f,
            "{translations} translations, {faults} faults, {open} left open; {} compared with ranges",
            self.compared
        )?;
        writeln!(
            f,
            "{} ranges, {} of them without walks at their edges; {} lists too long to make",
            self.ranges, self.not_probed, self.too_long
        )
    }
}

/// Checks one input, whatever its bytes.
///
/// # Errors
/// The first contradiction.
pub fn check(input: &[u8]) -> Result<Counts, Contradiction> {
    let input = input::Input::new(input);
    if input.is_stage1() {
        stage1::check(&input)
    } else {
        stage2::check(&input)
    }
}

static TOTAL: Mutex<Option<Counts>> = Mutex::new(None);

static PREPARED: Once = Once::new();

/// Runs one input of the target `oracle_walk`. Counts are printed when the process
/// exits.
///
/// # Panics
/// At a contradiction, after it is printed; the message is the same for all that fail
/// the same check. Panics of the oracle pass through.
pub fn run(input: &[u8]) {
    PREPARED.call_once(|| exit::at_exit(print_total));
    match check(input) {
        Ok(counts) => {
            let mut total = TOTAL.lock().unwrap_or_else(PoisonError::into_inner);
            total.get_or_insert_default().add(&counts);
        }
        Err(contradiction) => report(&contradiction),
    }
}

/// Prints a contradiction, and ends in the panic by which fuzzers know it.
#[cold]
fn report(contradiction: &Contradiction) -> ! {
    eprintln!("{contradiction}");
    panic!("oracle: {}", contradiction.check);
}

fn print_total() {
    let total = TOTAL.lock().unwrap_or_else(PoisonError::into_inner);
    eprint!("{}", total.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_are_an_input() {
        assert_eq!(check(&[]).map(|counts| counts.inputs), Ok(1));
    }

    #[test]
    fn bytes_at_random_are_inputs_without_contradictions_that_reach_tables() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut total = Counts::default();
        for _ in 0..1500 {
            let mut bytes = vec![0; HEADER_BYTES + RECORD_BYTES * rng.usize(0..12)];
            rng.fill(&mut bytes);
            match check(&bytes) {
                Ok(counts) => total.add(&counts),
                Err(contradiction) => panic!("{contradiction}"),
            }
        }
        println!("{total}");
        let [translations, faults, open] = total.ends;
        assert!(total.valid > 500 && total.ranges > 5000, "{total}");
        assert!(
            translations > 5000 && faults > 5000 && open > 1000,
            "{total}"
        );
    }

    #[test]
    fn contradiction_ends_in_a_panic_that_names_the_check() {
        let contradiction = Contradiction {
            check: "example",
            what: "0x1000 there, 0x2000 here".into(),
        };
        let payload = std::panic::catch_unwind(|| report(&contradiction)).unwrap_err();
        assert_eq!(*payload.downcast::<String>().unwrap(), "oracle: example");
    }
}
