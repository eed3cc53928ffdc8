//! The files of the desk's pages. They are in the server's binary and not in the package, which buyers load.

use crate::server::{http::assets::IMMUTABLE, state::AppState};
use axum::{
    Router,
    http::{HeaderValue, header},
    routing::get,
};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

pub(super) static STYLE_SHEET: LazyLock<File> = LazyLock::new(|| {
    File::new(
        "css",
        "text/css; charset=utf-8",
        concat!(include_str!("desk.css"), include_str!("board.css"), include_str!("proof.css")),
    )
});

pub(super) static SCRIPT: LazyLock<File> =
    LazyLock::new(|| File::new("js", "text/javascript; charset=utf-8", include_str!("desk.js")));

pub(super) fn routes() -> Router<AppState> {
    STYLE_SHEET.routes().merge(SCRIPT.routes())
}

pub(super) struct File {
    /// Has a hash of the contents, so that browsers may keep the file.
    pub(super) address: String,
    media_type: &'static str,
    contents: &'static str,
}

impl File {
    fn new(extension: &str, media_type: &'static str, contents: &'static str) -> Self {
        let hash: String = Sha256::digest(contents)[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { address: format!("/admin/desk.{hash}.{extension}"), media_type, contents }
    }

    fn routes(&'static self) -> Router<AppState> {
        let media_type = HeaderValue::from_static(self.media_type);
        let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, IMMUTABLE)];
        Router::new().route(&self.address, get(async move || (headers, self.contents)))
    }
}
