//! Why an edit of a drop was not made.

use super::error::DropError;

/// Why an edit was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// As for a visitor's command.
    Drop(DropError),
    /// 409: somebody else edited the drop since the caller saw it.
    EditedMeanwhile {
        /// The drop's now.
        edit_version: i64,
    },
    /// 409.
    Refused(Refusal),
}

/// Why the state of a drop or a purchase does not allow an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its start cannot be changed any more, nor can it become a draft again.
    HasStarted,
    /// What has not started cannot be ended.
    HasNotStarted,
    /// The end of a drop that has ended cannot be changed.
    HasEnded,
    /// What is published ends in the future.
    EndHasPassed,
    /// Only what is over and has no held pairs can be archived.
    IsNotOver,
    /// It must be published first.
    IsNotPublished,
    /// The sizes of what is published are changed pair by pair.
    IsNoDraft,
    /// Fewer pairs are available than were to be taken back.
    NotAvailable {
        available: i32,
    },
    /// The size is there already.
    SizeExists,
    NoSuchSize,
    NoSuchPurchase,
}

impl Refusal {
    /// The stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HasStarted => "has_started",
            Self::HasNotStarted => "not_started",
            Self::HasEnded | Self::EndHasPassed => "ended",
            Self::IsNotOver => "not_over",
            Self::IsNotPublished => "not_published",
            Self::IsNoDraft => "not_a_draft",
            Self::NotAvailable { .. } => "not_available",
            Self::SizeExists => "size_exists",
            Self::NoSuchSize => "no_such_size",
            Self::NoSuchPurchase => "no_such_purchase",
        }
    }
}

impl From<DropError> for EditError {
    fn from(error: DropError) -> Self {
        Self::Drop(error)
    }
}

impl From<Refusal> for EditError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
