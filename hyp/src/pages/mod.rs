//! Pages for tables: where they come from and who counts on them.
//!
//! `PageSource` is what a hypervisor lends; `Pool` is the default one. `PageList`
//! strings pages together through the source's own notes on each page, so that a
//! list of any length needs no memory: the CPU's page cache is one, and so are
//! the pages that wait for an invalidation.

mod pool;

pub use pool::{PageInfo, Pool, PoolError};

use crate::addr::Pa;

/// Lends pages of the granule's size, and keeps a note on each that it lent.
///
/// A source does its own locking. Pages are named by the address of their first
/// byte. Methods other than `allocate` are only called for pages on loan.
pub trait PageSource {
    /// Size of a page in bytes: the granule of the tables that are made of them.
    fn page_bytes(&self) -> u64;

    /// Lends `1 << order` pages in a row, aligned to their total size and below the
    /// output size of the tables that are made of them (`Shape::pa_limit`; checked for a
    /// root alone), with arbitrary contents and no references. `None` changes nothing.
    fn allocate(&self, order: u8) -> Option<Pa>;

    /// Takes back what one `allocate` lent, whatever references are left.
    fn release(&self, first: Pa, order: u8);

    /// Counts `count` more entries in the table of this page that are valid or hold a
    /// mark (contract, G9).
    fn add_references(&self, page: Pa, count: u16);

    /// Counts `count` fewer of them.
    fn drop_references(&self, page: Pa, count: u16);

    /// Entries in the table of this page that are valid or hold a mark.
    fn references(&self, page: Pa) -> u16;

    /// The page that follows this one in the list that holds it.
    fn next(&self, page: Pa) -> Option<Pa>;

    /// Makes `next` follow this page.
    fn set_next(&self, page: Pa, next: Option<Pa>);
}

/// A stack of pages on loan.
#[derive(Debug, Default)]
pub struct PageList {
    first: Option<Pa>,
    length: u32,
}

impl PageList {
    /// A list without pages.
    #[must_use]
    pub const fn new() -> PageList {
        PageList {
            first: None,
            length: 0,
        }
    }

    /// Number of pages.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.length
    }

    /// Whether it holds no page.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Puts a page in front.
    pub fn push<S: PageSource>(&mut self, source: &S, page: Pa) {
        source.set_next(page, self.first);
        self.first = Some(page);
        self.length += 1;
    }

    /// Takes the page in front.
    pub fn pop<S: PageSource>(&mut self, source: &S) -> Option<Pa> {
        let page = self.first?;
        self.first = source.next(page);
        self.length -= 1;
        Some(page)
    }
}
