//! Choices: bytes from a seed, and picking by weight.

use arbitrary::{Result, Unstructured};

/// More than the longest sequence takes. Where they end all the same, each
/// choice left is its first alternative, which is defined and finite.
const BYTES: usize = 4096;

/// The choices that belong to a seed.
pub(crate) struct Choices([u8; BYTES]);

impl Choices {
    pub(crate) fn new(seed: u64) -> Choices {
        let mut bytes = [0; BYTES];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        Choices(bytes)
    }

    pub(crate) fn unstructured(&self) -> Unstructured<'_> {
        Unstructured::new(&self.0)
    }
}

/// One of the alternatives, each as often as its weight says.
pub(crate) fn weighted<T: Clone, const N: usize>(
    u: &mut Unstructured<'_>,
    alternatives: &[(u32, T); N],
) -> Result<T> {
    let total: u32 = alternatives.iter().map(|(weight, _)| weight).sum();
    let mut at = u.int_in_range(0..=total - 1)?;
    for (weight, alternative) in alternatives {
        match at.checked_sub(*weight) {
            Some(rest) => at = rest,
            None => return Ok(alternative.clone()),
        }
    }
    unreachable!("the choice is below the sum of the weights")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_come_as_often_as_their_weights_say() {
        let mut counts = [0; 3];
        for seed in 0..4000 {
            let choices = Choices::new(seed);
            counts[weighted(&mut choices.unstructured(), &[(1, 0), (2, 1), (1, 2)]).unwrap()] += 1;
        }
        assert!(
            counts[0] > 850 && counts[1] > 1800 && counts[2] > 850,
            "{counts:?}"
        );
    }

    #[test]
    fn exhausted_choices_are_the_first_alternative() {
        assert_eq!(
            weighted(&mut Unstructured::new(&[]), &[(1, 'a'), (9, 'b')]),
            Ok('a')
        );
    }
}
