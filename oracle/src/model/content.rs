//! What entries hold, and stretches of entries that hold alike.

use super::legal::Configuration;
use crate::operation::{EntryContent, LeafContent};

/// What an entry holds that is not empty and leads to no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A leaf.
    Leaf(LeafContent),
    /// A softened leaf (W4).
    Softened(LeafContent),
    /// The name of an owner (section N).
    Annotation {
        /// The owner.
        owner: u8,
    },
}

/// Entries of one level that follow each other without a gap and hold alike: leaves
/// also follow each other in PA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// First IPA.
    pub ipa: u64,
    /// Bytes.
    pub bytes: u64,
    /// Level of the entries.
    pub level: i8,
    /// What the first one holds.
    pub content: Content,
}

impl LeafContent {
    /// Whether both map alike: everything but what hardware writes.
    pub(crate) fn maps_as(&self, other: &LeafContent) -> bool {
        let LeafContent {
            pa,
            prot,
            memory,
            software,
            ..
        } = *other;
        (self.pa, self.prot, self.memory, self.software) == (pa, prot, memory, software)
    }

    /// The leaf `bytes` further on.
    pub(super) fn advanced(self, bytes: u64) -> LeafContent {
        LeafContent {
            pa: self.pa + bytes,
            ..self
        }
    }
}

impl Content {
    /// What the entry holds that is `bytes` further on in a stretch.
    pub(super) fn advanced(self, bytes: u64) -> Content {
        match self {
            Content::Leaf(leaf) => Content::Leaf(leaf.advanced(bytes)),
            Content::Softened(leaf) => Content::Softened(leaf.advanced(bytes)),
            Content::Annotation { .. } => self,
        }
    }

    /// M10, N2: whether nothing need be stored where `other` is asked for.
    pub(super) fn serves_as(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::Leaf(one), Content::Leaf(two)) => one.maps_as(two),
            (Content::Annotation { owner: one }, Content::Annotation { owner: two }) => one == two,
            _ => false,
        }
    }

    pub(crate) fn leaf(self) -> Option<LeafContent> {
        match self {
            Content::Leaf(leaf) => Some(leaf),
            Content::Softened(_) | Content::Annotation { .. } => None,
        }
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.leaf().is_some()
    }

    /// Whether it is dirty: H3 asks for softened leaves, too.
    pub(super) fn is_dirty(&self) -> bool {
        match self {
            Content::Leaf(leaf) | Content::Softened(leaf) => leaf.dirty,
            Content::Annotation { .. } => false,
        }
    }
}

impl From<Content> for EntryContent {
    fn from(content: Content) -> EntryContent {
        match content {
            Content::Leaf(leaf) => EntryContent::Leaf(leaf),
            Content::Softened(leaf) => EntryContent::Softened(leaf),
            Content::Annotation { owner } => EntryContent::Annotated { owner },
        }
    }
}

impl Stretch {
    /// The first IPA beyond it.
    pub fn end(&self) -> u64 {
        self.ipa + self.bytes
    }

    /// Its part from `from` to `to`, both within it.
    pub(super) fn part(&self, from: u64, to: u64) -> Stretch {
        Stretch {
            ipa: from,
            bytes: to - from,
            content: self.content_at(from),
            ..*self
        }
    }

    /// What an entry that began at `ipa` would hold, an IPA in it.
    pub(crate) fn content_at(&self, ipa: u64) -> Content {
        self.content.advanced(ipa - self.ipa)
    }

    /// First IPA of the entry that decides over an IPA in it, and what that holds.
    pub(super) fn entry_at(&self, ipa: u64, configuration: &Configuration) -> (u64, Content) {
        let first = ipa - ipa % configuration.entry_bytes(self.level);
        (first, self.content_at(first))
    }

    /// Whether `next` continues it.
    pub(super) fn is_continued_by(&self, next: &Stretch) -> bool {
        self.level == next.level
            && self.end() == next.ipa
            && self.content_at(next.ipa) == next.content
    }
}
