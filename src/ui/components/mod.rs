//! What pages are made of.

pub mod countdown;
pub mod drop_card;
pub mod header;
pub mod icons;
pub mod loaded;
pub mod sign_in;
pub mod stock_meter;
pub mod toasts;
pub mod url_notice;
