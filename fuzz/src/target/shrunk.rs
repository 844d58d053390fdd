//! The smaller sequence that goes below a divergence.

use crate::lockstep;
use crate::sequence::Sequence;
use crate::shrink::{self, Failure, Reduced};

/// The divergence of `sequence` in few operations, as a text that ends with a line
/// feed.
#[cold]
pub(super) fn shrunk(sequence: &Sequence) -> String {
    match shrink::divergence(sequence, shrink::CRASH_EVALUATIONS) {
        Some(reduced) => told(sequence, &reduced),
        None => "It does not diverge when it is run again, so it is not shrunk.\n".to_string(),
    }
}

fn told(sequence: &Sequence, reduced: &Reduced) -> String {
    let counts = reduced.counts(sequence);
    let marked = match &reduced.failure {
        Failure::Verdict(verdict) => lockstep::marked(&reduced.sequence, verdict),
        Failure::Panic(_) => reduced.sequence.to_string(),
    };
    format!("Shrunk: {counts}\n{marked}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    #[test]
    fn divergence_is_told_in_few_operations() {
        let long = "machine stub=0x1000\nvm b\naccess b ipa=0 read\nvm c -> exists\nvm d";
        let text = shrunk(&text::parse(long).unwrap());
        assert!(text.starts_with("Shrunk: 6 operations to 1 in "), "{text}");
        assert!(text.contains("\n> vm a "), "{text}");
    }

    #[test]
    fn agreement_is_told_as_such() {
        let text = shrunk(&text::parse("machine\nvm a").unwrap());
        assert!(text.starts_with("It does not diverge"), "{text}");
    }
}
