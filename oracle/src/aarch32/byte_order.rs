//! Tables in the other byte order.

use crate::walk::Memory;

/// Memory as a walker with `HSCTLR.EE` = 1 sees it.
pub(super) struct BigEndian<'a, M: ?Sized>(pub(super) &'a M);

impl<M: Memory + ?Sized> Memory for BigEndian<'_, M> {
    fn read(&self, at: u64) -> Option<u64> {
        self.0.read(at).map(u64::swap_bytes)
    }
}
