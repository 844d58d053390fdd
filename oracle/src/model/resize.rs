//! Blocks that become tables (T2) and tables that become blocks (W7).

use super::Effects;
use super::content::{Content, Stretch};
use super::edit::Put;
use super::legal::{Configuration, PAGE_LEVEL};
use super::space::Space;
use crate::operation::{LeafContent, Outcome};

impl Space {
    /// T2, drawing on `available` pages.
    pub(super) fn split(
        &mut self,
        from: u64,
        to: u64,
        mut available: u32,
        effects: &mut Effects,
    ) -> Outcome {
        self.add_neighbours(from, to, effects);
        self.add_block_edges(from, effects);
        self.add_block_edges(to - 1, effects);
        let mut at = from;
        while let Some((index, first, end)) = self.next_blocks(at, to) {
            if available == 0 {
                effects.edges.add_stop(first.max(from));
                return Outcome::NoPages {
                    done: first.max(from) - from,
                    need: 1,
                };
            }
            available -= self.split_blocks(index, first, end, available);
            at = first.max(from);
        }
        Outcome::Done
    }

    /// The first blocks of one stretch that `[from, to)` overlaps: index of the stretch,
    /// first IPA, and the first IPA beyond.
    fn next_blocks(&self, from: u64, to: u64) -> Option<(usize, u64, u64)> {
        let is_block = |index: &usize| {
            let old = &self.stretches[*index];
            old.level < PAGE_LEVEL && old.content.is_leaf()
        };
        let index = self.overlapping(from, to).find(is_block)?;
        let old = &self.stretches[index];
        let bytes = self.configuration.entry_bytes(old.level);
        let first = old.ipa.max(from / bytes * bytes);
        Some((index, first, old.end().min(to.next_multiple_of(bytes))))
    }

    /// Splits the first of these blocks, of a stretch with this index, into entries of
    /// the next level, and where these are pages as many as there are pages for; how
    /// many were split.
    fn split_blocks(&mut self, index: usize, first: u64, end: u64, available: u32) -> u32 {
        let old = self.stretches[index];
        let bytes = self.configuration.entry_bytes(old.level);
        let into_pages = old.level + 1 == PAGE_LEVEL;
        let all = u32::try_from((end - first) / bytes).unwrap_or(u32::MAX);
        let count = if into_pages { all.min(available) } else { 1 };
        let split_end = first + u64::from(count) * bytes;
        self.edit(index..index + 1, |_, _, put| {
            put.push(old.part(old.ipa, first));
            put.push(Stretch {
                level: old.level + 1,
                ..old.part(first, split_end)
            });
            put.push(old.part(split_end, old.end()));
        });
        count
    }

    /// W7.
    pub(super) fn coalesce(&mut self, from: u64, to: u64, effects: &mut Effects) {
        self.add_neighbours(from, to, effects);
        let levels = self.configuration.start_level() + 1..=PAGE_LEVEL;
        for level in levels.rev() {
            if !self.configuration.leaf_supported(level - 1) {
                continue;
            }
            self.edit(self.overlapping(from, to), |configuration, old, put| {
                let mut rest = old;
                while let Some(first) = rest.first() {
                    let count = alike(rest);
                    let (group, others) = rest.split_at(count);
                    let tables = (first.level == level)
                        .then(|| tables(configuration, group, level, from, to))
                        .flatten();
                    match tables {
                        Some(tables) => {
                            effects.edges.add(tables.start);
                            effects.edges.add(tables.end);
                            join(configuration, group, tables, put);
                        }
                        None => group.iter().for_each(|old| put.push(*old)),
                    }
                    rest = others;
                }
            });
        }
    }
}

/// How many of the first stretches map as if they were one: leaves of one level that
/// differ at most in what hardware writes. At least 1.
fn alike(stretches: &[Stretch]) -> usize {
    let continues = |pair: &&[Stretch]| {
        let (one, two) = (&pair[0], &pair[1]);
        let (Some(_), Some(next)) = (one.content.leaf(), two.content.leaf()) else {
            return false;
        };
        let expected = one.content.advanced(two.ipa - one.ipa).leaf();
        one.level == two.level
            && one.end() == two.ipa
            && expected.is_some_and(|expected| expected.maps_as(&next))
    };
    1 + stretches.windows(2).take_while(continues).count()
}

/// The tables that lie wholly in `[from, to)` and in a group of leaves of their level,
/// if their leaves are those of blocks.
fn tables(
    configuration: &Configuration,
    group: &[Stretch],
    level: i8,
    from: u64,
    to: u64,
) -> Option<std::ops::Range<u64>> {
    let (first, last) = (group.first()?, group.last()?);
    let leaf = first.content.leaf()?;
    let bytes = configuration.table_bytes(level);
    let start = first.ipa.max(from).next_multiple_of(bytes);
    let end = last.end().min(to) / bytes * bytes;
    let in_step = leaf.pa % bytes == first.ipa % bytes;
    (in_step && start < end).then_some(start..end)
}

/// Pushes a group of leaves with blocks in the place of these tables.
fn join(
    configuration: &Configuration,
    group: &[Stretch],
    tables: std::ops::Range<u64>,
    put: &mut Put<'_>,
) {
    let bytes = configuration.entry_bytes(group[0].level - 1);
    let mut block: Option<Stretch> = None;
    for old in group {
        put.push(old.part(old.ipa, old.end().min(tables.start).max(old.ipa)));
        let (mut at, end) = (old.ipa.max(tables.start), old.end().min(tables.end));
        while at < end {
            // All of a table that only begins or ends here, or all whole tables at once.
            let within = at.is_multiple_of(bytes) && end - at >= bytes;
            let to = if within {
                end / bytes * bytes
            } else {
                end.min((at + 1).next_multiple_of(bytes))
            };
            let part = Stretch {
                level: old.level - 1,
                ..old.part(at, to)
            };
            let whole = match block.take() {
                Some(begun) => merged(&begun, &part),
                None => part,
            };
            if whole.end().is_multiple_of(bytes) {
                put.push(whole);
            } else {
                block = Some(whole);
            }
            at = to;
        }
        let rest = old.ipa.max(tables.end).min(old.end());
        put.push(old.part(rest, old.end()));
    }
}

/// One block of two parts: young if one of them was, and dirty if one of them was.
fn merged(begun: &Stretch, part: &Stretch) -> Stretch {
    let (Content::Leaf(one), Content::Leaf(two)) = (begun.content, part.content) else {
        return *begun;
    };
    Stretch {
        bytes: begun.bytes + part.bytes,
        content: Content::Leaf(LeafContent {
            young: one.young || two.young,
            dirty: one.dirty || two.dirty,
            ..one
        }),
        ..*begun
    }
}
