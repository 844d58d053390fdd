//! The IPAs at which the effect of an operation shows: both sides of each edge
//! of what it touched.

/// How many IPAs are kept.
const CAPACITY: usize = 24;

/// How many of them are kept for the place where an operation stopped.
const FOR_STOP: usize = 2;

/// IPAs worth a probe, all in one address space.
#[derive(Clone, Debug, Default)]
pub(super) struct Edges {
    ipas: Vec<u64>,
    /// The first IPA beyond the address space.
    space_end: u64,
}

impl Edges {
    /// Forgets all; there is no address space.
    pub(super) fn clear(&mut self) {
        self.start(0);
    }

    /// Forgets all, for an address space that ends at `space_end`.
    pub(super) fn start(&mut self, space_end: u64) {
        self.ipas.clear();
        self.space_end = space_end;
    }

    /// Adds both ends of a range, whose numbers are a caller's and may be any.
    pub(super) fn add_range(&mut self, start: u64, bytes: u64) {
        self.add(start);
        self.add(start.saturating_add(bytes));
    }

    /// Adds an edge, if there is room and as far as it lies in the address space.
    pub(super) fn add(&mut self, edge: u64) {
        self.add_both_sides(edge, CAPACITY - FOR_STOP);
    }

    /// Adds the edge where an operation stopped; at most one per operation.
    pub(super) fn add_stop(&mut self, edge: u64) {
        self.add_both_sides(edge, CAPACITY);
    }

    fn add_both_sides(&mut self, edge: u64, room: usize) {
        let above = edge & !7;
        for ipa in [above.checked_sub(8), Some(above)].into_iter().flatten() {
            if self.ipas.len() < room && ipa < self.space_end && !self.ipas.contains(&ipa) {
                self.ipas.push(ipa);
            }
        }
    }

    /// Puts what was added in order.
    pub(super) fn finish(&mut self) {
        self.ipas.sort_unstable();
    }

    /// What was added, ascending after [`Edges::finish`].
    pub(super) fn ipas(&self) -> &[u64] {
        &self.ipas
    }
}
