//! The parts of pages.

pub mod announcements;
pub mod buttons;
pub mod countdown;
pub mod drop_card;
pub mod header;
pub mod held;
pub mod icons;
pub mod live;
pub mod loaded;
pub mod new_version;
pub mod purchasers;
pub mod sign_in;
pub mod size_choice;
pub mod stock_meter;
pub mod toasts;
pub mod url_notice;
pub mod when;
