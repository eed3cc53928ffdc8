//! The parts of pages.

pub mod countdown;
pub mod drop_card;
pub mod header;
pub mod icons;
pub mod loaded;
pub mod purchasers;
pub mod sign_in;
pub mod size_choice;
pub mod stock_meter;
pub mod toasts;
pub mod url_notice;
